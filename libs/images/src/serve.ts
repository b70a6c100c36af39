import { type AddressInfo, createServer as createDoor, type Socket } from 'node:net';
import { createServer, type TLSSocket, type TlsOptions } from 'node:tls';
import type { MigrationId } from '@carnet/events';
import { type Clock, monotonicClock } from './clock.ts';
import type { Grant, ServedTransfer } from './grant.ts';
import { CONNECTIONS_MAX, HANDSHAKE_MS_MAX, STALL_MS_DEFAULT } from './limits.ts';
import { type Outcome, settle } from './outcome.ts';
import { TLS_RULES, type VerifyPeer } from './peer.ts';
import { peerPlaces } from './peer-places.ts';
import { serveConnection } from './serve-connection.ts';

export interface ServeRequest {
  /** The declared migration interface's address; 127.0.0.1 unless given. */
  readonly address?: string;
  /** 0, the default, takes a free port. */
  readonly port?: number;
  /** Whether a connection from this address is taken at all; absent: from anywhere. Refused ones are dropped before any TLS. */
  readonly takes?: (remoteAddress: string) => boolean;
  /** Own key, chain and trust roots, as for `tls.createServer`. */
  readonly tls: TlsOptions;
  readonly verifyPeer: VerifyPeer;
  /** The grant of a migration; `undefined` when none is open. */
  readonly grantOf: (migration: MigrationId) => Grant | undefined | Promise<Grant | undefined>;
  readonly stallMs?: number;
  readonly clock?: Clock;
  readonly onTransfer?: (transfer: ServedTransfer) => void;
}

export interface Serving {
  readonly address: string;
  readonly port: number;
  /** Ends all connections and frees the port. Receivers can resume. */
  close(): Promise<void>;
}

/** Serves sealed artifacts to the agents that agreements pin. Ciphertext only: no key is anywhere near. */
export const serveArtifacts = (request: ServeRequest): Promise<Outcome<Serving>> =>
  settle(async () => {
    const sockets = new Set<TLSSocket>();
    const places = peerPlaces();
    const server = createServer({ ...request.tls, ...TLS_RULES, handshakeTimeout: HANDSHAKE_MS_MAX });
    server.on('tlsClientError', () => request.onTransfer?.({ sentBytes: 0, outcome: 'TLS_NOT_TRUSTED' }));
    server.on('secureConnection', (socket) => {
      sockets.add(socket);
      socket.once('close', () => sockets.delete(socket));
      const settings = {
        ...request,
        places,
        stallMs: request.stallMs ?? STALL_MS_DEFAULT,
        clock: request.clock ?? monotonicClock,
      };
      serveConnection(socket, settings).then(request.onTransfer, (error: unknown) =>
        socket.destroy(error instanceof Error ? error : undefined),
      );
    });
    const raw = new Set<Socket>();
    // Before the TLS server, which would have a connection's handle for itself: what is refused here is closed without a word.
    const door = createDoor((socket) => {
      raw.add(socket);
      socket.once('close', () => raw.delete(socket));
      if (request.takes?.(socket.remoteAddress ?? '') !== false) return void server.emit('connection', socket);
      socket.destroy();
      request.onTransfer?.({ sentBytes: 0, outcome: 'ADDRESS_REFUSED' });
    });
    door.maxConnections = CONNECTIONS_MAX; // counts handshakes too: the rest is dropped before any TLS
    const listening = Promise.withResolvers<void>();
    door.once('error', listening.reject);
    door.listen({ host: request.address ?? '127.0.0.1', port: request.port ?? 0 }, listening.resolve);
    await listening.promise;
    const { address, port } = addressOf(door.address());
    return {
      address,
      port,
      async close() {
        const closed = new Promise<void>((resolve) => door.close(() => resolve()));
        for (const socket of sockets) socket.destroy();
        // Nor does one that has said nothing yet keep it open, or is served after all.
        for (const socket of raw) socket.destroy();
        await closed;
      },
    };
  });

function addressOf(bound: AddressInfo | string | null): AddressInfo {
  if (bound === null || typeof bound === 'string') throw new Error('a TCP server is bound to an address');
  return bound;
}
