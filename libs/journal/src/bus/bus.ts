import type { TrustDomain } from '@carnet/events';
import type { NatsConnection } from 'nats';
import type { JournalParts } from '../journal.ts';
import { DRAIN_MS_MAX } from '../limits.ts';
import { type BusAddress, closeInTime, connectWatched } from './connection.ts';
import { openIntakes } from './intake.ts';
import { runOwnLink } from './link.ts';
import { atMost, pacing } from './pace.ts';

export type Bus = {
  /** For what shares the connection: commands to hosts and their reports. */
  readonly connection: NatsConnection;
  readonly isConnected: () => boolean;
  /** Stops publishing and following, flushes what is pending, and disconnects. Nothing is lost: the rest is in the outbox. */
  readonly close: () => Promise<void>;
};

/** Connects the journal with its peers, and keeps at it until closed. Resolves once the first connection stands. */
export async function connectBus(parts: JournalParts, address: BusAddress): Promise<Bus> {
  const stopping = new AbortController();
  const bus = await connectWatched(address);
  const intakeOf = openIntakes(pacing, parts.options.unanswered ?? (() => 0));
  const links = new Map<TrustDomain, { readonly stop: AbortController; readonly done: Promise<void> }>();
  const begin = (peer: TrustDomain): void => {
    const stop = new AbortController();
    links.set(peer, {
      stop,
      done: runOwnLink(parts, peer, address, intakeOf(peer), AbortSignal.any([stopping.signal, stop.signal])),
    });
  };
  const unsubscribe = parts.roster.subscribe((peer, change) => {
    links.get(peer)?.stop.abort();
    if (change === 'came') begin(peer);
  });
  for (const peer of parts.roster.peers) begin(peer);
  return {
    connection: bus.connection,
    isConnected: bus.isUp,
    close: async () => {
      unsubscribe();
      stopping.abort();
      await atMost(DRAIN_MS_MAX, Promise.allSettled([...links.values()].map(({ done }) => done)));
      await closeInTime(bus);
    },
  };
}
