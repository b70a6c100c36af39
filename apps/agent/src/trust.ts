import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { PAYLOAD_TYPES } from '@carnet/events';
import type { Log } from '@carnet/hypervisor';
import { numberIn, openTrustFiles, readCrl, type TrustStore, writeDurably } from '@carnet/pki';
import { openEnvelope, sha256Hex } from '@carnet/trust';
import type { BrokerKeys } from './commands.ts';
import type { AgentConfig } from './config.ts';

/** CRLs that the broker told: beside those of the operator, and never instead of them. */
const toldDirectory = ({ directories }: Pick<AgentConfig, 'directories'>): string => join(directories.state, 'crls');

export const crlDirectoriesOf = (config: Pick<AgentConfig, 'trust' | 'directories'>): readonly string[] => [
  config.trust.crlDirectory,
  toldDirectory(config),
];

export function openAgentTrust(
  config: Pick<AgentConfig, 'trust' | 'directories'>,
  nowMs: () => number,
): (anew?: boolean) => TrustStore {
  const told = toldDirectory(config);
  mkdirSync(told, { recursive: true, mode: 0o700 });
  return openTrustFiles(
    {
      rootFile: config.trust.rootFile,
      crlDirectories: crlDirectoriesOf(config),
      marksFile: join(config.directories.state, 'crl-numbers.json'),
    },
    nowMs,
  );
}

/**
 * Keeps a CRL that our broker signed over: so a revocation reaches every host within seconds, however slowly files are rolled
 * out. That its issuer signed it is judged whenever it is used. An older list than the one kept changes nothing. It counts at once: a new peer's
 * list comes right before its first move.
 */
export function crlTaker(
  config: Pick<AgentConfig, 'directories'>,
  { keys, trust }: { readonly keys: BrokerKeys; readonly trust: (anew: boolean) => TrustStore },
  log: Log,
): (bytes: Uint8Array) => void {
  const told = toldDirectory(config);
  return (bytes) => {
    const opened = openEnvelope(bytes, PAYLOAD_TYPES.crl, keys);
    const crl = opened.ok ? readCrl(opened.value.payload) : opened;
    if (!opened.ok || !crl.ok) {
      log.warn({ code: 'CRL_UNTRUSTED', why: crl.ok ? '' : crl.code }, 'revocation list ignored');
      return;
    }
    const file = join(told, `${sha256Hex(Buffer.from(crl.value.issuer, 'hex'))}.der`);
    const kept = numberIn(file);
    if (kept !== undefined && kept >= crl.value.number) return;
    writeDurably(file, opened.value.payload);
    trust(true);
    log.info({ number: String(crl.value.number) }, 'revocation list kept');
  };
}
