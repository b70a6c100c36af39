import type { PeerCertificate } from 'node:tls';
import { type ConnectionOptions, connect, type NatsConnection } from 'nats';
import { BUS_ANSWER_MS_MAX, DRAIN_MS_MAX } from '../limits.ts';
import { atMost } from './pace.ts';

/** How to reach the bus: PEM texts, and the DNS name in the server's certificate (an address in `servers` is no name). */
export type BusAddress = {
  /** e.g. `nats://127.0.0.1:4222` */
  readonly servers: readonly string[];
  readonly serverName: string;
  readonly tls: {
    readonly cert: string;
    readonly key: string;
    readonly ca: string;
    /** More than chain and name: e.g. revocation. Absent: node:tls's own check of the name. */
    readonly checkServerIdentity?: (hostname: string, certificate: PeerCertificate) => Error | undefined;
  };
  /** Shown by the server's monitoring. */
  readonly name: string;
};

/** A connection, and what hangs on its coming back. */
export type BusConnection = {
  readonly connection: NatsConnection;
  readonly isUp: () => boolean;
  readonly reconnects: {
    /** Called after each reconnect; the answer ends it. */
    readonly add: (reconnected: () => void) => () => void;
  };
};

export async function connectWatched(address: BusAddress): Promise<BusConnection> {
  const connection = await connectNats(address, 'comes-back');
  const listeners = new Set<() => void>();
  let up = true;
  const watch = async (): Promise<void> => {
    for await (const change of connection.status()) {
      if (change.type === 'disconnect' || change.type === 'close') up = false;
      if (change.type !== 'reconnect') continue;
      up = true;
      for (const reconnected of listeners) reconnected();
    }
    up = false;
  };
  void watch();
  return {
    connection,
    isUp: () => up,
    reconnects: {
      add: (reconnected) => {
        listeners.add(reconnected);
        return () => listeners.delete(reconnected);
      },
    },
  };
}

/**
 * Mutual TLS 1.3; reconnects for ever, as the bus may be away for any time and nothing is lost by it.
 *
 * @param refused what a refusal of our certificate means: the end, or (`comes-back`) a member that the bus's operator cut off, and may let in again
 */
export async function connectNats(
  { servers, serverName, tls, name }: BusAddress,
  refused: 'ends' | 'comes-back' = 'ends',
): Promise<NatsConnection> {
  // `servername` and `minVersion` are handed on to node:tls, though the client's type does not list them.
  const { checkServerIdentity } = tls;
  const options = {
    ca: tls.ca,
    ...(checkServerIdentity === undefined ? {} : { checkServerIdentity }),
    servername: serverName,
    minVersion: 'TLSv1.3',
    // Asked at each connect: a certificate may have been renewed since.
    get cert() {
      return tls.cert;
    },
    get key() {
      return tls.key;
    },
  };
  const connection: ConnectionOptions = {
    servers: [...servers],
    name,
    tls: options,
    timeout: BUS_ANSWER_MS_MAX,
    maxReconnectAttempts: -1,
    ignoreAuthErrorAbort: refused === 'comes-back',
    waitOnFirstConnect: true,
    reconnectTimeWait: 250,
    reconnectJitter: 250,
    pingInterval: 10_000,
    maxPingOut: 2,
  };
  return connect(connection);
}

/** Flushes and closes. Draining a connection that is down waits for it to come back: bounded, and then cut. */
export async function closeInTime({ connection, isUp }: BusConnection): Promise<void> {
  if (isUp())
    await atMost(
      DRAIN_MS_MAX,
      connection.drain().catch(() => undefined),
    );
  await connection.close();
}
