import { type BlockJobs, blockJobs } from './block-jobs.ts';
import { Channel, type ChannelOptions } from './channel.ts';
import { type Backups, backups, type Checkpoints, checkpoints } from './checkpoints.ts';
import type { CallOptions } from './deadline.ts';
import { type Domains, domains } from './domains.ts';
import { LibvirtError } from './error.ts';
import { type Events, events } from './events.ts';
import { type Host, host } from './host.ts';
import { type Jobs, jobs } from './jobs.ts';
import { AUTH_TYPES_MAX, CLOSE_MS_MAX, CONNECT_MS_DEFAULT, LIBVIRT_VERSION_MIN, TIMER_MS_MAX } from './limits.ts';
import { type Migration, migration } from './migration.ts';
import { type Monitor, monitor } from './monitor.ts';
import { type Pools, pools } from './pools.ts';
import { done, nothing, quick } from './procedure.ts';
import { type Secrets, secrets } from './secrets.ts';
import { openSocket, type Transport } from './transport.ts';
import { type Volumes, volumes } from './volumes.ts';

const P = {
  open: quick(1, 'open', (w, uri: string | undefined, flags: number) => w.optionalString(uri).uint(flags), done),
  close: quick(2, 'close', nothing, done),
  authList: quick(66, 'authentication list', nothing, (r) => r.list(AUTH_TYPES_MAX, (entry) => entry.int())),
  libVersion: quick(157, 'library version', nothing, (r) => r.uhyper()),
} as const;

const AUTH_NONE = 0;
const OPEN_READ_ONLY = 1;

export type ConnectOptions = ChannelOptions & {
  readonly transport: Transport;
  /** The driver behind the socket: `qemu:///session`, `qemu:///system`, `test:///default`. */
  readonly uri: string;
  readonly access?: 'read-write' | 'read-only';
  /** Socket, TLS and opening together, milliseconds. */
  readonly connectTimeoutMs?: number;
  /** Ends the attempt to connect; the connection once made is ended by `close`. */
  readonly signal?: AbortSignal;
};

/** One connection to one libvirt driver. When it is over it stays so: connecting again is the caller's. */
export type Connection = AsyncDisposable & {
  /** libvirt's own: major·10⁶ + minor·10³ + release. */
  readonly libVersion: bigint;
  readonly host: Host;
  readonly domains: Domains;
  readonly jobs: Jobs;
  readonly blockJobs: BlockJobs;
  readonly migration: Migration;
  readonly secrets: Secrets;
  readonly pools: Pools;
  readonly volumes: Volumes;
  readonly checkpoints: Checkpoints;
  readonly backups: Backups;
  readonly monitor: Monitor;
  readonly events: Events;
  /** Settles, never rejects, with the reason when the connection is over, whoever ended it. */
  readonly ended: Promise<LibvirtError>;
  /** Rejects what is still open with `CONNECTION_CLOSED`. Never fails; safe to repeat. */
  close(): Promise<void>;
};

/** Opens a driver of a libvirt daemon; refuses a daemon that is too old or wants authentication. */
export async function connect(options: ConnectOptions): Promise<Connection> {
  const timeoutMs = options.connectTimeoutMs ?? CONNECT_MS_DEFAULT;
  const deadline = AbortSignal.timeout(Math.min(timeoutMs, TIMER_MS_MAX));
  const signal = options.signal === undefined ? deadline : AbortSignal.any([options.signal, deadline]);
  const socket = await openSocket(options.transport, timeoutMs, options.signal);
  const channel = new Channel(socket, options);
  try {
    const libVersion = await openDriver(channel, options, { signal, timeoutMs });
    return connection(channel, libVersion);
  } catch (cause) {
    channel.fail(new LibvirtError('CONNECTION_CLOSED', 'the driver could not be opened', { cause }));
    throw cause;
  }
}

async function openDriver(channel: Channel, { uri, access }: ConnectOptions, options: CallOptions): Promise<bigint> {
  const offered = await channel.call(P.authList, [], options);
  if (!offered.includes(AUTH_NONE)) {
    throw new LibvirtError('AUTH_UNSUPPORTED', `expected a daemon without authentication, got types ${offered.join(', ')}`);
  }
  await channel.call(P.open, [uri, access === 'read-only' ? OPEN_READ_ONLY : 0], options);
  const libVersion = await channel.call(P.libVersion, [], options);
  if (libVersion < LIBVIRT_VERSION_MIN) {
    throw new LibvirtError('VERSION_UNSUPPORTED', `expected libvirt ${LIBVIRT_VERSION_MIN} or newer, got ${libVersion}`);
  }
  return libVersion;
}

function connection(channel: Channel, libVersion: bigint): Connection {
  const close = async (): Promise<void> => {
    const reason = new LibvirtError('CONNECTION_CLOSED', 'closed by the caller');
    channel.endStreams(reason);
    // A daemon that does not answer the farewell is left all the same.
    await channel.call(P.close, [], { timeoutMs: CLOSE_MS_MAX, urgent: 'urgent' }).catch(() => undefined);
    channel.fail(reason);
  };
  return {
    libVersion,
    host: host(channel),
    domains: domains(channel),
    jobs: jobs(channel),
    blockJobs: blockJobs(channel),
    migration: migration(channel),
    secrets: secrets(channel),
    pools: pools(channel),
    volumes: volumes(channel),
    checkpoints: checkpoints(channel),
    backups: backups(channel),
    monitor: monitor(channel),
    events: events(channel),
    ended: channel.ended,
    close,
    [Symbol.asyncDispose]: close,
  };
}
