import { execFileSync } from 'node:child_process';
import { existsSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Csp } from '../clouds/csp.ts';
import type { Federation } from '../clouds/federation.ts';
import { lastTick, type Tick } from '../guest-console.ts';
import { privateFile } from '../scratch.ts';
import { systemTool } from '../tools.ts';

/** Domains of a host as virsh prints them: `guest1 running`. */
export function virshList(csp: Csp): readonly string[] {
  return csp.host
    .virsh('list', '--all')
    .split('\n')
    .map((line) => line.trim().split(/\s{2,}/))
    .filter((columns) => columns.length >= 3)
    .map(([, name, state]) => `${name} ${state}`);
}

/** OpenSSL's own verdict on a leaf: strict path validation, name constraints, every CRL. Throws its words when it refuses. */
export function opensslVerify({ pki, root }: Federation, domain: string, leaf: string): string {
  const crls = join(root, 'crls.pem');
  const openssl = systemTool('openssl');
  const pem = readdirSync(join(pki, 'crls')).map((name) =>
    execFileSync(openssl, ['crl', '-inform', 'DER', '-in', join(pki, 'crls', name)], { encoding: 'utf8' }),
  );
  writeFileSync(crls, pem.join(''));
  const flags = [
    'verify',
    '-x509_strict',
    '-crl_check_all',
    '-CRLfile',
    crls,
    '-CAfile',
    join(pki, 'root.pem'),
    '-untrusted',
    join(pki, domain, 'ca.pem'),
  ];
  return execFileSync(openssl, [...flags, join(pki, domain, `${leaf}.pem`)], { encoding: 'utf8' })
    .trim()
    .replace(`${pki}/`, '');
}

/** The guest's serial console on one side. */
export const consoleOf = (csp: Csp, uuid: string): string => join(csp.paths.volumes, uuid, 'serial.log');

const POLL_MS = 50;

/** Waits until the guest on this side has ticked more often than `after`, or of another boot. */
export async function tickAfter(file: string, after: Tick | undefined, timeoutMs: number): Promise<Tick> {
  for (let waited = 0; waited < timeoutMs; waited += POLL_MS) {
    const tick = lastTick(file);
    if (tick !== undefined && (after === undefined || tick.boot !== after.boot || tick.n > after.n)) return tick;
    await sleep(POLL_MS);
  }
  throw new Error(`the guest's console ${file} shows no life within ${timeoutMs} ms`);
}

/** What the guest itself shows of a stop: its last tick at one side, its first at the other, and the time between, by our clock. */
export type StopSeen = { readonly last: Tick; readonly first: Tick; readonly stopMs: number };

/** Watches both consoles until a tick comes that is younger than the last one of the side that ran. */
export function watchStop(from: string, to: string): { readonly done: Promise<StopSeen>; readonly cancel: () => void } {
  const cancelled = new AbortController();
  const before = lastTick(to);
  const watch = async (): Promise<StopSeen> => {
    let last = lastTick(from);
    let lastAt = performance.now();
    while (!cancelled.signal.aborted) {
      const now = existsSync(from) ? lastTick(from) : undefined;
      if (now !== undefined && (now.boot !== last?.boot || now.n !== last.n)) [last, lastAt] = [now, performance.now()];
      const arrived = from === to ? undefined : lastTick(to);
      if (last !== undefined && arrived !== undefined && (arrived.boot !== before?.boot || arrived.n !== before.n))
        return { last, first: arrived, stopMs: Math.round(performance.now() - lastAt) };
      await sleep(POLL_MS);
    }
    throw new Error('no longer watched');
  };
  return { done: watch(), cancel: () => cancelled.abort() };
}

/**
 * What an administrator hears who starts a copy of a VM with virsh: defined by hand, under its UUID. Without libvirt's hook, which
 * takes root on a machine of two clouds, there is nobody to say anything.
 */
export function startOfCopy({ host, as }: Csp, uuid: string): string {
  const file = join(host.dirs.root, 'copy.xml');
  const os = "<os><type arch='x86_64' machine='pc-q35-7.2'>hvm</type></os>";
  privateFile(file, `<domain type='qemu'><name>copy</name><uuid>${uuid}</uuid><memory>65536</memory>${os}</domain>`, as);
  host.virsh('define', file);
  try {
    host.virsh('start', 'copy');
    host.virsh('destroy', 'copy');
    return 'started';
  } catch (cause) {
    return /carnet: .*/.exec(String(cause))?.[0] ?? String(cause);
  } finally {
    host.virsh('undefine', 'copy');
  }
}

/** Everything of migrations that lies at a side: volumes, staging, saved memory. */
export function leftAt(csp: Csp): readonly string[] {
  const files = (dir: string): readonly string[] =>
    existsSync(dir)
      ? readdirSync(dir, { recursive: true, withFileTypes: true }).flatMap((entry) =>
          entry.isFile() ? [join(entry.parentPath, entry.name)] : [],
        )
      : [];
  return files(csp.paths.volumes);
}
