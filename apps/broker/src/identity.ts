import { createPrivateKey } from 'node:crypto';
import { readFileSync, statSync } from 'node:fs';
import { timestamp } from '@carnet/events';
import type { EventSigner, Introduction } from '@carnet/journal';
import { leafSigner, readPem } from '@carnet/pki';
import { ed25519Signer, type Signer } from '@carnet/trust';

/** Who this broker is: its X.509 leaf (TLS, commands to hosts) and its Ed25519 event key (ledgers). */
export interface BrokerIdentity {
  readonly certificatePem: string;
  readonly keyPem: string;
  /** DER in base64, leaf first. */
  readonly chain: readonly string[];
  readonly leafSigner: Signer;
  readonly eventSigner: EventSigner;
  readonly introduction: Introduction;
}

/** A private key that other users can read is no longer private: refused, so that nobody gets used to it. */
function privateText(path: string): string {
  const { mode } = statSync(path);
  if ((mode & 0o077) !== 0) throw new Error(`${path} is readable by others (mode ${(mode & 0o777).toString(8)}): chmod 600 it`);
  return readFileSync(path, 'utf8');
}

export function loadIdentity(files: { readonly certificateFile: string; readonly keyFile: string; readonly eventKeyFile: string }): BrokerIdentity {
  const certificatePem = readFileSync(files.certificateFile, 'utf8');
  const ders = readPem(certificatePem, 'CERTIFICATE');
  const [leaf] = ders;
  if (leaf === undefined) throw new Error(`${files.certificateFile} holds no certificate`);
  const keyPem = privateText(files.keyFile);
  const signer = leafSigner(keyPem, leaf);
  const chain = ders.map((der) => Buffer.from(der).toString('base64'));
  return {
    certificatePem,
    keyPem,
    chain,
    leafSigner: signer,
    eventSigner: ed25519Signer(createPrivateKey(privateText(files.eventKeyFile))),
    introduction: { chain, signer, notBefore: timestamp.parse(statSync(files.eventKeyFile).mtime.toISOString()) },
  };
}

