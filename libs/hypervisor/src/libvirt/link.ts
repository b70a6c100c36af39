import { type Connection, type ConnectOptions, connect, LibvirtError } from '@carnet/libvirt';
import { failed, HostError } from '../codes.ts';
import { CONNECTED_WITHIN_MS, RECONNECT_MS_MAX, RECONNECT_MS_MIN } from '../limits.ts';
import type { Clock, Log } from '../ports/host-ports.ts';

export type LinkOptions = {
  readonly transport: ConnectOptions['transport'];
  /** `qemu:///session` or `qemu:///system`. */
  readonly uri: string;
  readonly clock: Clock;
  /** Between 0 and 1, for the jitter of reconnects. */
  readonly random: () => number;
  readonly log: Log;
};

/** A connection to libvirtd that comes back by itself, with back-off. What was under way when it broke is an accident. */
export type Link = {
  /** Runs `work` on the connection, waiting a moment for one. @throws HostError */
  use<T>(work: (connection: Connection) => Promise<T>): Promise<T>;
  status(): { readonly connected: boolean; readonly version: string };
  close(): Promise<void>;
};

/** What hangs on a link's life. */
export type LinkListener = {
  /** Before anyone uses a new connection: subscriptions live as long as their connection. */
  prepare(connection: Connection): Promise<void>;
  live(): void;
  lost(why: LibvirtError): void;
};

export function openLink(options: LinkOptions, listener: LinkListener): Link {
  const { clock, log } = options;
  const stop = new AbortController();
  let live: Connection | undefined;
  let version = '';
  const arrivals = new Set<() => void>();

  const life = async (): Promise<void> => {
    const connection = await connect({ transport: options.transport, uri: options.uri, signal: stop.signal });
    // From here on, for `close` may come while it is being prepared: a connection that nobody ends never does.
    const end = (): void => void connection.close();
    stop.signal.addEventListener('abort', end, { once: true });
    try {
      if (stop.signal.aborted) return;
      await listener.prepare(connection);
      version = versionText(connection.libVersion);
      live = connection;
      for (const arrived of arrivals) arrived();
      listener.live();
      const why = await connection.ended;
      live = undefined;
      if (!stop.signal.aborted) listener.lost(why);
    } finally {
      live = undefined;
      stop.signal.removeEventListener('abort', end);
      await connection.close();
    }
  };

  const loop = async (): Promise<void> => {
    let failures = 0;
    while (!stop.signal.aborted) {
      try {
        await life();
        failures = 0;
      } catch (cause) {
        log.debug({ err: cause }, 'libvirtd not reachable');
        failures += 1;
      }
      const longest = Math.min(RECONNECT_MS_MAX, RECONNECT_MS_MIN * 2 ** failures);
      await clock.sleep(Math.ceil(longest * (0.5 + options.random() / 2)), stop.signal).catch(() => undefined);
    }
  };
  const ended = loop();

  const arrival = async (): Promise<Connection> => {
    if (live !== undefined) return live;
    const given = new AbortController();
    const { promise, resolve } = Promise.withResolvers<void>();
    arrivals.add(resolve);
    await Promise.race([promise, clock.sleep(CONNECTED_WITHIN_MS, given.signal).catch(() => undefined)]);
    arrivals.delete(resolve);
    given.abort();
    if (live === undefined) throw new HostError(failed('LIBVIRT_UNREACHABLE'));
    return live;
  };

  return {
    status: () => ({ connected: live !== undefined, version }),
    use: async (work) => {
      const connection = await arrival();
      try {
        return await work(connection);
      } catch (cause) {
        throw accident(cause);
      }
    },
    close: async () => {
      stop.abort();
      await ended;
    },
  };
}

/** libvirt's own words help an operator; they name paths and states, never a private secret. One printable line of them. */
function accident(cause: unknown): HostError {
  if (cause instanceof HostError) return cause;
  if (!(cause instanceof LibvirtError)) return new HostError(failed('INTERNAL'), { cause });
  if (cause.remote === undefined) return new HostError(failed('LIBVIRT_UNREACHABLE', `(${cause.code})`), { cause });
  const words = cause.remote.message.replaceAll(/[^\x20-\x7e]+/g, ' ').slice(0, REMOTE_WORDS_MAX);
  return new HostError(failed('LIBVIRT_FAILED', words), { cause });
}
const REMOTE_WORDS_MAX = 300;

/** 9000000 → 9.0.0 (virConnectGetLibVersion). */
function versionText(version: bigint): string {
  const n = Number(version);
  return [Math.floor(n / 1_000_000), Math.floor(n / 1_000) % 1_000, n % 1_000].join('.');
}
