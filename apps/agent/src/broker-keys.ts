import { readFileSync, statSync } from 'node:fs';
import { certificateChain, type Timestamp, type TrustDomain } from '@carnet/events';
import { readPem, type TrustStore } from '@carnet/pki';
import { parseStrictJson, sha256Hex } from '@carnet/trust';
import { z } from 'zod';
import { type BrokerKeys, validateBroker } from './commands.ts';
import { BROKER_CHAINS_MAX, CHAIN_BYTES_MAX } from './limits.ts';

export type KnownBroker = {
  readonly keys: BrokerKeys;
  /** The chain that belongs to a key id, for who must judge later what it signed now. Says nothing of whether it is good. */
  readonly chainOf: (keyid: string) => readonly string[];
  /** Takes a chain that was shown on the bus, if it is our broker's. */
  readonly learn: (bytes: Uint8Array) => void;
};

const shown = z.strictObject({ chain: certificateChain });

/**
 * The certificates of this CSP's broker: that of a file, and those that its replicas showed since (renewals). Which are known decides
 * nothing but where to look: path, name and revocation are judged at each command, and the signature must name exactly that leaf.
 */
export function brokerKeys(
  certificateFile: string,
  domain: TrustDomain,
  store: () => TrustStore,
  now: () => Timestamp,
): KnownBroker {
  let chain = readChain(certificateFile);
  let readAtMs = statSync(certificateFile).mtimeMs;
  // Oldest first.
  const learned = new Map<string, readonly string[]>();
  const chainFor = (keyid: string): readonly string[] => {
    const { mtimeMs } = statSync(certificateFile, { throwIfNoEntry: false }) ?? { mtimeMs: readAtMs };
    if (mtimeMs !== readAtMs) {
      chain = readChain(certificateFile);
      readAtMs = mtimeMs;
    }
    return learned.get(keyid) ?? chain;
  };
  return {
    chainOf: chainFor,
    keys: (keyid) => {
      const broker = validateBroker(chainFor(keyid), domain, store(), now());
      return broker?.leafDigest === keyid ? broker.verifier : undefined;
    },
    learn: (bytes) => {
      const said = chainIn(bytes);
      const keyid = sha256Hex(Buffer.from(said?.[0] ?? '', 'base64'));
      if (said === undefined || learned.has(keyid)) return;
      // Threat: somebody on the bus fills this memory, or pushes the true leaf out of it.
      if (validateBroker(said, domain, store(), now()) === undefined) return;
      const [oldest] = learned.keys();
      if (learned.size >= BROKER_CHAINS_MAX && oldest !== undefined) learned.delete(oldest);
      learned.set(keyid, said);
    },
  };
}

function chainIn(bytes: Uint8Array): readonly string[] | undefined {
  if (bytes.length > CHAIN_BYTES_MAX) return undefined;
  const json = parseStrictJson(bytes);
  return json.ok ? shown.safeParse(json.value).data?.chain : undefined;
}

const readChain = (file: string): readonly string[] =>
  readPem(readFileSync(file, 'utf8'), 'CERTIFICATE').map((der) => Buffer.from(der).toString('base64'));
