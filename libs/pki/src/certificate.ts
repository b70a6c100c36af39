import { createPublicKey, type KeyObject, verify, X509Certificate } from 'node:crypto';
import type { Digest } from '@carnet/events';
import { accept, type Checked, refuse, sha256Hex } from '@carnet/trust';
import { Certificate as Asn1Certificate } from 'pkijs';
import { type CertificateExtensions, Malformed, readExtensions } from './extensions.ts';
import { RSA_BITS_MAX, RSA_BITS_MIN, RSA_EXPONENT, SERIAL_BYTES_MAX } from './limits.ts';
import { OID } from './oids.ts';

/** A certificate as plain data; nothing of it is checked but its form. Names are the hexadecimal DER of `Name`. */
export type Certificate = CertificateExtensions &
  SignedPart & {
    readonly der: Uint8Array;
    readonly digest: Digest;
    readonly subject: string;
    readonly issuer: string;
    readonly serial: string;
    readonly notBeforeMs: number;
    readonly notAfterMs: number;
    readonly publicKey: KeyObject;
  };

/** What an issuer signed, of a certificate or a CRL. */
export type SignedPart = {
  readonly tbs: Uint8Array;
  readonly signatureAlgorithm: string;
  readonly signature: Uint8Array;
};

/** RFC 5280, section 4.1, version 3 only. Two parsers must take it: what one reads differently from the other is hostile. */
export function readCertificate(der: Uint8Array): Checked<Certificate, 'CERTIFICATE_MALFORMED'> {
  try {
    return accept(parse(der));
  } catch (error) {
    const why = error instanceof Malformed ? error.message : 'it cannot be parsed';
    return refuse('CERTIFICATE_MALFORMED', `expected an X.509 v3 certificate in DER: ${why}`);
  }
}

function parse(der: Uint8Array): Certificate {
  // OpenSSL takes BER outside of what is signed and encodes DER again: other bytes, other digest, same certificate.
  if (!new X509Certificate(der).raw.equals(der)) throw new Malformed('not DER');
  const asn1 = Asn1Certificate.fromBER(der);
  if (asn1.version !== 2) throw new Malformed('not version 3');
  if (!asn1.signature.isEqual(asn1.signatureAlgorithm)) throw new Malformed('two signature algorithms');
  const serial = readSerial(asn1.serialNumber.valueBlock.valueHexView);
  if (serial === undefined) throw new Malformed(`serial number is not positive or longer than ${SERIAL_BYTES_MAX} octets`);
  return {
    ...readExtensions(asn1.extensions ?? []),
    der,
    digest: sha256Hex(der),
    subject: hex(asn1.subject.valueBeforeDecode),
    issuer: hex(asn1.issuer.valueBeforeDecode),
    serial,
    notBeforeMs: asn1.notBefore.value.getTime(),
    notAfterMs: asn1.notAfter.value.getTime(),
    publicKey: createPublicKey({ key: Buffer.from(asn1.subjectPublicKeyInfo.toSchema().toBER()), format: 'der', type: 'spki' }),
    tbs: asn1.tbsView,
    signatureAlgorithm: asn1.signatureAlgorithm.algorithmId,
    signature: signatureOctets(asn1.signatureValue),
  };
}

/** RSA signatures are whole octets. Other counts of unused bits would spell the same signature anew: other bytes, other digest. */
export function signatureOctets({ valueBlock }: Asn1Certificate['signatureValue']): Uint8Array {
  if (valueBlock.unusedBits !== 0) throw new Malformed('a signature with unused bits');
  return valueBlock.valueHexView;
}

export const hex = (bytes: ArrayBuffer | Uint8Array): string =>
  (bytes instanceof Uint8Array ? Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength) : Buffer.from(bytes)).toString(
    'hex',
  );

/** Hexadecimal without DER's leading zero octet; `undefined` when negative, zero or too long. */
export function readSerial(octets: Uint8Array): string | undefined {
  if (((octets[0] ?? 0x80) & 0x80) !== 0) return undefined;
  const digits = hex(octets).replace(/^(00)+/, '');
  return digits === '' || octets.length > SERIAL_BYTES_MAX ? undefined : digits;
}

const HASHES: ReadonlyMap<string, string> = new Map([
  [OID.sha256WithRsa, 'sha256'],
  [OID.sha384WithRsa, 'sha384'],
  [OID.sha512WithRsa, 'sha512'],
]);

export const isStrongAlgorithm = ({ signatureAlgorithm }: SignedPart): boolean => HASHES.has(signatureAlgorithm);

/** RSASSA-PKCS1-v1_5 over the bytes as they came. */
export function isSignedBy({ tbs, signature, signatureAlgorithm }: SignedPart, key: KeyObject): boolean {
  const hash = HASHES.get(signatureAlgorithm);
  return hash !== undefined && key.asymmetricKeyType === 'rsa' && verify(hash, tbs, key, signature);
}

/** RSA only: the federation's certificates are; one algorithm is one thing less to get wrong. */
export function isStrongKey({ publicKey }: Pick<Certificate, 'publicKey'>): boolean {
  const { modulusLength = 0, publicExponent = 0n } = publicKey.asymmetricKeyDetails ?? {};
  if (publicKey.asymmetricKeyType !== 'rsa' || modulusLength < RSA_BITS_MIN || modulusLength > RSA_BITS_MAX) return false;
  // A huge exponent makes each check slow, for whoever checks.
  return publicExponent >= BigInt(RSA_EXPONENT) && publicExponent < 2n ** 32n && publicExponent % 2n === 1n;
}
