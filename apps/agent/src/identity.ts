import { readFileSync, statSync } from 'node:fs';
import { leafSigner, readPem } from '@carnet/pki';
import type { Signer } from '@carnet/trust';

/** Who this agent is: its X.509 leaf signs evidence and reports, and stands at both ends of its TLS connections. */
export interface AgentIdentity {
  readonly certificatePem: string;
  readonly keyPem: string;
  /** DER in base64, leaf first. */
  readonly chain: readonly string[];
  readonly signer: Signer;
}

/** A private key that others can read is no longer private: refused, so that nobody gets used to it. */
function privateText(path: string): string {
  const { mode } = statSync(path);
  if ((mode & 0o077) !== 0) throw new Error(`${path} is readable by others (mode ${(mode & 0o777).toString(8)}): chmod 600 it`);
  return readFileSync(path, 'utf8');
}

export function loadIdentity(files: { readonly certificateFile: string; readonly keyFile: string }): AgentIdentity {
  const certificatePem = readFileSync(files.certificateFile, 'utf8');
  const ders = readPem(certificatePem, 'CERTIFICATE');
  const [leaf] = ders;
  if (leaf === undefined) throw new Error(`${files.certificateFile} holds no certificate`);
  const keyPem = privateText(files.keyFile);
  return {
    certificatePem,
    keyPem,
    chain: ders.map((der) => Buffer.from(der).toString('base64')),
    signer: leafSigner(keyPem, leaf),
  };
}
