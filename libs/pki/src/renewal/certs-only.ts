import { accept, type Checked, refuse } from '@carnet/trust';
import { Certificate, ContentInfo, EncapsulatedContentInfo, SignedData } from 'pkijs';
import { CERTS_ONLY_BYTES_MAX } from '../limits.ts';
import { OID } from '../oids.ts';

/** Certificates and nothing else in one file: PKCS #7 "certs-only" (RFC 5272, section 4.1), as RFC 7030 answers an enrolment. */
export function writeCertsOnly(ders: readonly Uint8Array[]): Uint8Array {
  const signed = new SignedData({
    version: 1,
    encapContentInfo: new EncapsulatedContentInfo({ eContentType: OID.data }),
    certificates: ders.map((der) => Certificate.fromBER(der)),
  });
  const info = new ContentInfo({ contentType: OID.signedData, content: signed.toSchema(true) });
  return new Uint8Array(info.toSchema().toBER());
}

/** The certificates of a hostile answer, unchecked. */
export function readCertsOnly(ber: Uint8Array): Checked<readonly Uint8Array[], 'CERTIFICATE_MALFORMED'> {
  const malformed = refuse('CERTIFICATE_MALFORMED', 'expected a PKCS #7 file of certificates');
  if (ber.length > CERTS_ONLY_BYTES_MAX) return malformed;
  try {
    const { contentType, content } = ContentInfo.fromBER(ber);
    if (contentType !== OID.signedData) return malformed;
    const found = (new SignedData({ schema: content }).certificates ?? []).filter((one) => one instanceof Certificate);
    return accept(found.map((one) => new Uint8Array(one.toSchema().toBER())));
  } catch {
    return malformed;
  }
}
