import type { TrustDomain, VmId } from '@carnet/events';
import { type Store, withLease } from '@carnet/store';
import { type MigrationViews, rowsOf } from '@carnet/views';
import type { Ledgers } from './ledgers.ts';

/** A turn lasts for a count, a decision and an append, milliseconds; one that was not had so long is another replica's trouble, ms. */
const TURN_MS_MAX = 10_000;
const TURN_AGAIN_MS = 10;
/** Rows that an event can change: its migration's, and the one that it came after. */
const ROWS_NOTED = 2;

export type Turn<T> = { readonly held: false } | { readonly held: true; readonly value: T };

/**
 * Whoever decides by how much is open with a peer in one direction does it in turn, over all replicas: it counts, decides, appends and
 * notes what it appended before the next one counts. Threat: many VMs at once, each of which finds the quota free.
 */
export interface Quotas {
  /** `held: false`: no turn came in time. The signal: the turn was lost with a database connection, and nothing may be appended any more. */
  readonly turn: <T>(
    peer: TrustDomain,
    direction: 'outgoing' | 'incoming',
    work: (signal: AbortSignal) => Promise<T>,
  ) => Promise<Turn<T>>;
  /** Offers to this peer that it has neither agreed to nor ended. */
  readonly unanswered: (peer: TrustDomain) => Promise<number>;
  /** Within a turn, after the append: the next one counts it. */
  readonly note: (vm: VmId, peer: TrustDomain) => Promise<void>;
}

export interface QuotaPorts {
  readonly store: Pick<Store, 'tryLease'>;
  readonly views: Pick<MigrationViews, 'record' | 'countUnanswered'>;
  readonly ledgers: Pick<Ledgers, 'journey'>;
}

export function openQuotas({ store, views, ledgers }: QuotaPorts): Quotas {
  // In this process they queue; only replicas try again and again.
  const last = new Map<string, Promise<unknown>>();
  return {
    turn: async (peer, direction, work) => {
      const name = `carnet quota ${direction} ${peer}`;
      const mine = (last.get(name) ?? Promise.resolve()).then(() => leased(store, name, work));
      const ended = mine.catch(() => undefined);
      last.set(name, ended);
      try {
        return await mine;
      } finally {
        if (last.get(name) === ended) last.delete(name);
      }
    },
    unanswered: views.countUnanswered,
    note: async (vm, peer) => views.record(rowsOf(await ledgers.journey(vm, peer)).slice(-ROWS_NOTED)),
  };
}

async function leased<T>(
  store: Pick<Store, 'tryLease'>,
  name: string,
  work: (signal: AbortSignal) => Promise<T>,
): Promise<Turn<T>> {
  for (let waitedMs = 0; waitedMs < TURN_MS_MAX; waitedMs += TURN_AGAIN_MS) {
    const taken = await withLease(store, name, work);
    if (taken.held) return taken;
    await new Promise((resolve) => setTimeout(resolve, TURN_AGAIN_MS));
  }
  return { held: false };
}
