import { readFileSync, statSync } from 'node:fs';
import type { Signer } from '@carnet/trust';
import { PkiError } from './error.ts';
import { readPem } from './pem.ts';
import { leafSigner } from './rsa-pss.ts';

/** A process's own X.509 identity, as its files say: signs, and stands at its ends of TLS connections. */
export type OwnLeaf = {
  readonly certificatePem: string;
  readonly keyPem: string;
  /** DER in base64, leaf first. */
  readonly chain: readonly string[];
  readonly signer: Signer;
};

const OTHERS = 0o077;

/**
 * A private key's text. A key that others can read is no longer private: refused, so that nobody gets used to it.
 * @throws PkiError KEY_EXPOSED
 */
export function readPrivateText(path: string): string {
  const mode = statSync(path).mode & 0o777;
  if ((mode & OTHERS) !== 0)
    throw new PkiError('KEY_EXPOSED', `${path} is readable by others (mode ${mode.toString(8)}): chmod 600 it`);
  return readFileSync(path, 'utf8');
}

/**
 * @param files PEM: leaf and intermediate, and the leaf's private key
 * @throws PkiError PEM_MALFORMED, KEY_EXPOSED, KEY_KIND, KEY_MISMATCH
 */
export function loadLeaf(files: { readonly certificateFile: string; readonly keyFile: string }): OwnLeaf {
  const certificatePem = readFileSync(files.certificateFile, 'utf8');
  const ders = readPem(certificatePem, 'CERTIFICATE');
  const [leaf = new Uint8Array()] = ders;
  const keyPem = readPrivateText(files.keyFile);
  const chain = ders.map((der) => Buffer.from(der).toString('base64'));
  return { certificatePem, keyPem, chain, signer: leafSigner(keyPem, leaf) };
}
