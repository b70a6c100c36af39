import { sign } from 'node:crypto';
import { BitString, Enumerated, Integer } from 'asn1js';
import {
  AlgorithmIdentifier,
  Certificate,
  CertificateRevocationList,
  Extension,
  Extensions,
  RevokedCertificate,
  Time,
} from 'pkijs';
import { type Authority, issuerKeyId } from './authority.ts';
import { OID } from './oids.ts';

/** CRLReason (RFC 5280, section 5.3.1), those that Carnet gives. */
export const REVOCATION_REASONS = {
  unspecified: 0,
  keyCompromise: 1,
  cACompromise: 2,
  superseded: 4,
  cessationOfOperation: 5,
} as const;
export type RevocationReason = keyof typeof REVOCATION_REASONS;

/** `serial`: hexadecimal, as `readCertificate` gives it. */
export type Revocation = { readonly serial: string; readonly atMs: number; readonly reason: RevocationReason };

/**
 * A complete CRL of one authority, in DER, signed with SHA-256 (RFC 5280, section 5). `number` must grow from one to the next:
 * of two CRLs that are both fresh, the one with the higher number counts.
 */
export function createCrl(
  authority: Authority,
  of: {
    readonly number: number;
    readonly thisUpdateMs: number;
    readonly nextUpdateMs: number;
    readonly revoked: readonly Revocation[];
  },
): Uint8Array {
  const crl = new UnsignedCrl();
  const algorithm = new AlgorithmIdentifier({ algorithmId: OID.sha256WithRsa });
  crl.version = 1; // v2
  crl.signature = algorithm;
  crl.signatureAlgorithm = algorithm;
  crl.issuer = Certificate.fromBER(authority.certificate).subject;
  crl.thisUpdate = timeOf(of.thisUpdateMs);
  crl.nextUpdate = timeOf(of.nextUpdateMs);
  if (of.revoked.length > 0) crl.revokedCertificates = of.revoked.map(entryOf);
  crl.crlExtensions = new Extensions({
    extensions: [authorityKey(authority), extension(OID.crlNumber, new Integer({ value: of.number }))],
  });
  const tbs = crl.toBeSigned();
  crl.tbsView = tbs;
  crl.signatureValue = new BitString({ valueHex: arrayBufferOf(sign('sha256', tbs, authority.keys.privateKey)) });
  return new Uint8Array(crl.toSchema(true).toBER());
}

/** pkijs signs with WebCrypto only; node:crypto needs the bytes. */
class UnsignedCrl extends CertificateRevocationList {
  toBeSigned(): Uint8Array<ArrayBuffer> {
    return new Uint8Array(this.encodeTBS().toBER());
  }
}

/** GeneralizedTime only from 2050 on (RFC 5280, section 5.1.2.4). */
function timeOf(ms: number): Time {
  const value = new Date(Math.floor(ms / 1_000) * 1_000);
  return new Time({ type: value.getUTCFullYear() < 2050 ? 0 : 1, value });
}

const entryOf = ({ serial, atMs, reason }: Revocation): RevokedCertificate =>
  new RevokedCertificate({
    userCertificate: new Integer({ valueHex: arrayBufferOf(Buffer.from(serial, 'hex')) }),
    revocationDate: timeOf(atMs),
    ...(reason === 'unspecified'
      ? {} // RFC 5280, section 5.3.1: absent rather than zero
      : {
          crlEntryExtensions: new Extensions({
            extensions: [extension(OID.reasonCode, new Enumerated({ value: REVOCATION_REASONS[reason] }))],
          }),
        }),
  });

const extension = (extnID: string, value: Integer | Enumerated): Extension =>
  new Extension({ extnID, critical: false, extnValue: value.toBER() });

/** AuthorityKeyIdentifier with the key identifier alone: [0] IMPLICIT, 20 octets. */
function authorityKey(authority: Authority): Extension {
  const id = issuerKeyId(authority);
  const der = Buffer.concat([Buffer.of(0x30, id.length + 2, 0x80, id.length), id]);
  return new Extension({ extnID: OID.authorityKeyIdentifier, critical: false, extnValue: arrayBufferOf(der) });
}

/** Buffers are views into a shared pool; asn1js wants memory of its own. */
function arrayBufferOf(bytes: Uint8Array): ArrayBuffer {
  const copy = new ArrayBuffer(bytes.length);
  new Uint8Array(copy).set(bytes);
  return copy;
}
