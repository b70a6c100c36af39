import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs';
import { basename, join } from 'node:path';
import { runAs } from './identity.ts';
import { LEFTOVER_FILES_MAX } from './limits.ts';
import { processesOf, processesUnder, type RunningProcess } from './processes.ts';

/** Something that should be gone. */
export type Leftover = {
  readonly kind: 'process' | 'domain' | 'port' | 'file';
  /** For a person: pid and command, the domain's name, the port's number, the path. */
  readonly what: string;
};

export type LeftoverSearch = {
  /** Processes that run in or for this directory, and files in it. */
  readonly dir?: string;
  /**
   * Everything that belongs to this Unix user: processes, listening ports, files where strangers may write. Only
   * root, who gives each cloud its own user, can tell it from anything else: for an ordinary user it finds nothing.
   */
  readonly user?: string;
  /** Loopback ports that nobody should listen on. */
  readonly ports?: readonly number[];
};

/** The state LISTEN of proc_net_tcp(5). */
const TCP_LISTEN = '0A';
const OPEN_TO_ALL = ['/tmp', '/var/tmp', '/dev/shm'] as const;

/** Looks for what a run left behind; an empty list is the proof that nothing was. */
export function findLeftovers({ dir, user, ports = [] }: LeftoverSearch): readonly Leftover[] {
  const under = dir === undefined ? [] : [...processesUnder(dir).map(describe), ...filesIn(dir)];
  const { identity } = runAs(user);
  const owned = user === undefined || !identity.switched ? [] : ownedBy(identity.uid);
  const listening = listeners()
    .filter(({ port }) => ports.includes(port))
    .map(portLeftover);
  const all = [...under, ...owned, ...listening];
  return all.filter((one, index) => all.findIndex((other) => other.kind === one.kind && other.what === one.what) === index);
}

function ownedBy(uid: number): readonly Leftover[] {
  const files = OPEN_TO_ALL.filter((dir) => existsSync(dir)).flatMap((dir) =>
    readdirSync(dir)
      .map((name) => join(dir, name))
      .filter((path) => ownerOf(path) === uid),
  );
  return [
    ...processesOf(uid).map(describe),
    ...listeners()
      .filter((listener) => listener.uid === uid)
      .map(portLeftover),
    ...files.map((what): Leftover => ({ kind: 'file', what })),
  ];
}

/** libvirt starts QEMU with `-name guest=<domain>,…`. */
function describe({ pid, command }: RunningProcess): Leftover {
  const name = command[command.indexOf('-name') + 1];
  const domain = basename(command[0] ?? '').startsWith('qemu-system') ? /guest=([^,]+)/.exec(name ?? '')?.[1] : undefined;
  return domain === undefined
    ? { kind: 'process', what: `${pid} ${command.join(' ').slice(0, 200)}` }
    : { kind: 'domain', what: `${domain} (pid ${pid})` };
}

function filesIn(dir: string): readonly Leftover[] {
  if (!existsSync(dir)) return [];
  const names = readdirSync(dir, { recursive: true, encoding: 'utf8' }).slice(0, LEFTOVER_FILES_MAX);
  return [dir, ...names.map((name) => join(dir, name))].map((what) => ({ kind: 'file', what }));
}

type Listener = { readonly port: number; readonly uid: number };

function listeners(): readonly Listener[] {
  return ['/proc/net/tcp', '/proc/net/tcp6']
    .filter((file) => existsSync(file))
    .flatMap((file) => readFileSync(file, 'utf8').split('\n').slice(1))
    .map((line) => line.trim().split(/\s+/))
    .filter((fields) => fields[3] === TCP_LISTEN)
    .map((fields) => ({ port: Number.parseInt(fields[1]?.split(':')[1] ?? '', 16), uid: Number(fields[7]) }));
}

function portLeftover({ port }: Listener): Leftover {
  return { kind: 'port', what: String(port) };
}

function ownerOf(path: string): number | undefined {
  try {
    return statSync(path).uid;
  } catch {
    // Gone since the listing.
    return undefined;
  }
}
