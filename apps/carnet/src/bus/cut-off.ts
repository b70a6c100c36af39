import { readFileSync, renameSync, writeFileSync } from 'node:fs';
import { type TrustDomain, timestamp } from '@carnet/events';
import { busConfig, REVOKED } from '@carnet/journal';
import { brokerId, openTrustFiles, readCertificate, readPem, type TrustStore, validatePath } from '@carnet/pki';
import type { BusFile } from './bus-file.ts';

/** A member and what its certificate is worth: `good`, or the code of the refusal. Only `REVOKED` cuts it off. */
export interface MemberStanding {
  readonly domain: TrustDomain;
  readonly standing: string;
}

export interface BusStanding {
  readonly members: readonly MemberStanding[];
  /** Whether the server was told anything. */
  readonly outcome: 'unchanged' | 'reloaded';
}

/** Looks at the revocation lists, writes nats-server's configuration if it is another, and has it read again (SIGHUP). */
export function openBusKeeper(file: BusFile, nowMs: () => number): () => BusStanding {
  const { rootFile, crlDirectory, marksFile } = file.trust;
  const trust = openTrustFiles({ rootFile, crlDirectories: [crlDirectory], marksFile }, nowMs);
  let applied: string | undefined;
  return () => {
    const members = file.members.map(({ domain, certificateFile }) => ({
      domain,
      standing: standingOf(readPem(readFileSync(certificateFile, 'utf8'), 'CERTIFICATE'), domain, trust(), nowMs()),
    }));
    const text = configOf(
      file,
      members.filter(({ standing }) => standing === REVOKED).map(({ domain }) => domain),
    );
    if (text === applied) return { members, outcome: 'unchanged' };
    // No secret is in it, and the server runs under another account.
    writeFileSync(`${file.server.configFile}.new`, text, { mode: 0o644 });
    renameSync(`${file.server.configFile}.new`, file.server.configFile);
    process.kill(pidOf(file.server.pidFile), 'SIGHUP');
    // Only now: a server that could not be told is told again.
    applied = text;
    return { members, outcome: 'reloaded' };
  };
}

/** Judged as of its beginning: a leaf that only expired since is renewed without the bus; what counts here is revocation. */
function standingOf(chain: readonly Uint8Array[], domain: TrustDomain, trust: TrustStore, nowMs: number): string {
  const leaf = readCertificate(chain[0] ?? new Uint8Array());
  if (!leaf.ok) return leaf.code;
  const at = timestamp.parse(new Date(leaf.value.notBeforeMs).toISOString());
  const now = timestamp.parse(new Date(nowMs).toISOString());
  const base64 = chain.map((der) => Buffer.from(der).toString('base64'));
  const path = validatePath({ ...trust, chain: base64, at, now, trustDomain: domain, spiffeId: brokerId(domain) });
  return path.ok ? 'good' : path.code;
}

export function configOf({ domain, listen, server, trust, members, pairs }: BusFile, cutOff: readonly TrustDomain[]): string {
  const tls = { cert: server.certificateFile, key: server.keyFile, ca: trust.rootFile };
  const { cluster, leaves } = server;
  const more = {
    ...(pairs === undefined ? {} : { pairs }),
    ...(cluster === undefined ? {} : { cluster }),
    ...(leaves === undefined ? {} : { leaves }),
  };
  return busConfig({ busDomain: domain, members, tls, cutOff, ...more })
    .replaceAll('127.0.0.1:{{port}}', listen)
    .replaceAll('{{dir}}', server.directory);
}

/** 0 and below would mean a whole process group. */
function pidOf(file: string): number {
  const pid = Number(readFileSync(file, 'utf8').trim());
  if (!Number.isSafeInteger(pid) || pid <= 1) throw new RangeError(`expected a process id in ${file}`);
  return pid;
}
