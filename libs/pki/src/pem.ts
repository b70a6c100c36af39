import { PkiError } from './error.ts';

/** Labels of RFC 7468. OpenSSL reads a CRL only under `X509 CRL`. */
export type PemLabel = 'CERTIFICATE' | 'X509 CRL' | 'CERTIFICATE REQUEST';

const BLOCK = /-----BEGIN ([A-Z0-9 ]+)-----\s+([A-Za-z0-9+/=\s]+?)-----END \1-----/g;

/**
 * The DER of every block under a label, in order; text around blocks is ignored.
 * @throws PkiError PEM_MALFORMED when there is none
 */
export function readPem(text: string, label: PemLabel): readonly Uint8Array[] {
  const found = [...text.matchAll(BLOCK)].filter(([, name]) => name === label);
  if (found.length === 0) throw new PkiError('PEM_MALFORMED', `expected a PEM block ${label}`);
  return found.map(([, , body = '']) => Uint8Array.from(Buffer.from(body, 'base64')));
}

export function writePem(label: PemLabel, der: Uint8Array): string {
  const lines =
    Buffer.from(der)
      .toString('base64')
      .match(/.{1,64}/g) ?? [];
  return [`-----BEGIN ${label}-----`, ...lines, `-----END ${label}-----`, ''].join('\n');
}
