import { readFileSync, statSync } from 'node:fs';
import type { Timestamp, TrustDomain } from '@carnet/events';
import { readPem, type TrustStore } from '@carnet/pki';
import { type BrokerKeys, validateBroker } from './commands.ts';

/**
 * The certificate of this CSP's broker, read from a file and again when it changes (a renewal). Its path, name and revocation
 * are judged at each command, and the signature must name exactly this leaf.
 */
export function brokerKeys(
  certificateFile: string,
  domain: TrustDomain,
  store: () => TrustStore,
  now: () => Timestamp,
): BrokerKeys {
  let chain = readChain(certificateFile);
  let readAtMs = statSync(certificateFile).mtimeMs;
  return (keyid) => {
    const { mtimeMs } = statSync(certificateFile, { throwIfNoEntry: false }) ?? { mtimeMs: readAtMs };
    if (mtimeMs !== readAtMs) {
      chain = readChain(certificateFile);
      readAtMs = mtimeMs;
    }
    const broker = validateBroker(chain, domain, store(), now());
    return broker?.leafDigest === keyid ? broker.verifier : undefined;
  };
}

const readChain = (file: string): readonly string[] =>
  readPem(readFileSync(file, 'utf8'), 'CERTIFICATE').map((der) => Buffer.from(der).toString('base64'));
