import { type Digest, type Draft, type Event, isMigrationEvent, type Timestamp, type TrustDomain, type VmId } from '@carnet/events';
import type { Journal, JournalTx, StoredEvent } from '@carnet/journal';
import { decide, evolve, initialJourney, type Journey, type Proposal, type RefusalCode } from '@carnet/saga';

export interface Refused {
  readonly ok: false;
  readonly code: string;
  readonly text: string;
}
export type Proposed = { readonly ok: true; readonly digest: Digest } | Refused;

/** Work that must commit together with the event, or not at all: key rows, inventory rows. */
export type Making<P> = (tx: JournalTx, journey: Journey) => Promise<P | Refused>;

/** The journal as performers use it: journeys folded from both ledgers, and events proposed under the ledger's head lock. */
export interface Ledgers {
  readonly journey: (vm: VmId, peer: TrustDomain) => Promise<Journey>;
  /** All journeys of a VM, one for each peer that it ever went to or came from. */
  readonly journeys: (vm: VmId) => Promise<readonly Journey[]>;
  /** Folds, makes, decides and appends in one transaction. Refused: nothing at all was written. */
  readonly propose: (vm: VmId, peer: TrustDomain, make: Making<Proposal>) => Promise<Proposed>;
}

/** Rolls a transaction back and carries the refusal out of it. */
class RefusedInside extends Error {
  override readonly name = 'RefusedInside';
  readonly refused: Refused;
  constructor(refused: Refused) {
    super(refused.text);
    this.refused = refused;
  }
}

export function createLedgers(journal: Journal, self: TrustDomain, nowMs: () => number): Ledgers {
  const peers = journal.peers;
  const journey = async (vm: VmId, peer: TrustDomain): Promise<Journey> => fold(vm, await journal.eventsOfMigrations(peer, await journal.migrationsOfVm(vm, peer)));
  return {
    journey,
    journeys: (vm) => Promise.all(peers.map((peer) => journey(vm, peer))),
    propose: async (vm, peer, make) => {
      try {
        const { events } = await journal.append(peer, async (tx) => ({ drafts: [await draftOf(tx, vm, peer, make)] }));
        const [appended] = events;
        if (appended === undefined) throw new Error('an append of one draft gave no event');
        return { ok: true, digest: appended.digest };
      } catch (cause) {
        if (cause instanceof RefusedInside) return cause.refused;
        throw cause;
      }
    },
  };

  async function draftOf(tx: JournalTx, vm: VmId, peer: TrustDomain, make: Making<Proposal>): Promise<Draft<Event>> {
    const current = fold(vm, await tx.eventsOfMigrations(peer, await tx.migrationsOfVm(vm, peer)));
    const proposal = await make(tx, current);
    if ('ok' in proposal) throw new RefusedInside(proposal);
    const decision = decide(current, self, proposal, new Date(nowMs()).toISOString() as Timestamp);
    if (!decision.ok) throw new RefusedInside({ ok: false, code: decision.code satisfies RefusalCode, text: decision.text });
    return decision.draft;
  }
}

/** Both ledgers' events of one VM, in the order in which they came to stand here: a causal order. */
export function fold(vm: VmId, stored: readonly StoredEvent[]): Journey {
  return stored.reduce((journey, { event, digest }) => (event !== undefined && isMigrationEvent(event) ? evolve(journey, { event, digest }).journey : journey), initialJourney(vm));
}

