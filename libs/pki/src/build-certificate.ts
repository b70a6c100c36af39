import { createHash, type KeyObject, sign } from 'node:crypto';
import forge from 'node-forge';
import { COMMON_NAME_CHARS_MAX, SERIAL_BYTES } from './limits.ts';
import { OID } from './oids.ts';

// node-forge exports it and its published types leave it out.
declare module 'node-forge' {
  namespace pki {
    function getTBSCertificate(certificate: Certificate): asn1.Asn1;
  }
}

/** Random octets: the caller's source. */
export type RandomBytes = (n: number) => Uint8Array;

export type CertificateFields = {
  readonly subject: string;
  readonly issuer: string;
  readonly publicKey: KeyObject;
  readonly notBeforeMs: number;
  readonly notAfterMs: number;
  /** In node-forge's form (`extension-fields.ts`). */
  readonly extensions: readonly object[];
};

/**
 * node-forge lays out the certificate, node:crypto signs it: forge's own RSA is 180 times slower, and so no private key ever
 * becomes a JavaScript number. Signed with SHA-256 and RSASSA-PKCS1-v1_5, which every TLS stack takes in certificates.
 *
 * @returns DER
 */
export function buildCertificate(fields: CertificateFields, issuerKey: KeyObject, random: RandomBytes): Uint8Array {
  const certificate = forge.pki.createCertificate();
  certificate.publicKey = forge.pki.publicKeyFromPem(fields.publicKey.export({ format: 'pem', type: 'spki' }).toString());
  certificate.serialNumber = newSerial(random);
  certificate.validity.notBefore = new Date(fields.notBeforeMs);
  certificate.validity.notAfter = new Date(fields.notAfterMs);
  certificate.setSubject(nameOf(fields.subject));
  certificate.setIssuer(nameOf(fields.issuer));
  certificate.setExtensions([...fields.extensions]);
  certificate.signatureOid = OID.sha256WithRsa;
  certificate.siginfo.algorithmOid = OID.sha256WithRsa;
  certificate.tbsCertificate = forge.pki.getTBSCertificate(certificate);
  const tbs = forge.asn1.toDer(certificate.tbsCertificate).getBytes();
  certificate.signature = sign('sha256', Buffer.from(tbs, 'binary'), issuerKey).toString('binary');
  return Uint8Array.from(Buffer.from(forge.asn1.toDer(forge.pki.certificateToAsn1(certificate)).getBytes(), 'binary'));
}

/** 128 random bits, positive (first bit clear, first octet not zero: DER would shorten it). */
function newSerial(random: RandomBytes): string {
  const bytes = Buffer.from(random(SERIAL_BYTES));
  bytes[0] = ((bytes[0] ?? 0) & 0x7f) | 0x40;
  return bytes.toString('hex');
}

/** Name as all of Carnet's certificates have it: two attributes, UTF8String. */
export const nameOf = (commonName: string): forge.pki.CertificateField[] => [
  { name: 'organizationName', value: 'Carnet federation' },
  { name: 'commonName', value: shorten(commonName) },
];

/** Two long names stay different: names of issuers are how CRLs and certificates are matched. */
function shorten(commonName: string): string {
  if (commonName.length <= COMMON_NAME_CHARS_MAX) return commonName;
  const tail = createHash('sha256').update(commonName).digest('hex').slice(0, 16);
  return `${commonName.slice(0, COMMON_NAME_CHARS_MAX - tail.length - 1)}-${tail}`;
}

/** Key identifier of RFC 7093, section 2, method 1: leftmost 160 bits of SHA-256. A name for the key, no protection. */
export function keyIdentifier(publicKey: KeyObject): Buffer {
  const spki = publicKey.export({ format: 'der', type: 'spki' });
  return createHash('sha256').update(spki).digest().subarray(0, 20);
}
