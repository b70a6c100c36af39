import type { Digest, Draft, Event, MigrationId, PolicyAnnounced, Reason, Timestamp, TrustDomain, VmId } from '@carnet/events';
import type { AppendTx, EventOfVm, Journal, JourneyEnds, PlacedEvent, VmWithPeer } from '@carnet/journal';
import { orRefused } from '@carnet/keys';
import { type Announced, downgradeOf, highestAnnounced } from '@carnet/policy';
import { decide, type Journey, type Proposal, type RefusalCode } from '@carnet/saga';
import { createFolds } from './folds.ts';

export interface Refused {
  readonly ok: false;
  readonly code: string;
  readonly text: string;
  /** Of whoever made the proposal: policies that denied it. */
  readonly reasons?: readonly Reason[];
}
export type Proposed = { readonly ok: true; readonly digest: Digest } | Refused;

/** Work that must commit together with the event, or not at all: key rows, inventory rows. */
export type Making<P> = (tx: AppendTx, journey: Journey) => Promise<P | Refused>;

/** The journal as performers use it: journeys folded from both ledgers, and events proposed under the ledger's head lock. */
export interface Ledgers {
  readonly journey: (vm: VmId, peer: TrustDomain) => Promise<Journey>;
  /** As `journey`, and up to where in either ledger it was folded. `cameHome`: this database had lost events of ours that are in it. */
  readonly foldedTo: (
    vm: VmId,
    peer: TrustDomain,
  ) => Promise<{ readonly journey: Journey; readonly ends: JourneyEnds; readonly cameHome: boolean }>;
  /**
   * All journeys of a VM, one for each peer with whom a move of it was ever begun, also if it is a peer no more, or not yet at this replica: its
   * epochs are spent, and it may be the one that takes the VM back. What is folded is durable outside of the database. Threat: a decision
   * in one ledger that relies on another's (a new move, for the last one was withdrawn) outlives it: a restored database would let both go on.
   */
  readonly journeys: (vm: VmId) => Promise<readonly Journey[]>;
  /** Whether another intent, of whatever peer or VM, has this migration's id: keys and host steps are kept by it. */
  readonly isIdTaken: (of: {
    readonly migration: MigrationId;
    readonly vm: VmId;
    readonly peer: TrustDomain;
  }) => Promise<boolean>;
  /** When an event came to stand in a ledger here, by our own clock. */
  readonly placedAt: (event: Digest) => Promise<Timestamp | undefined>;
  /**
   * As `journey`, once all that our side has begun to say to this peer is said: whatever is said after it sees what is folded here, and cites it.
   * Threat: an end that was decided without what has just arrived commits while its contrary is on the way to a host.
   */
  readonly settled: (vm: VmId, peer: TrustDomain) => Promise<{ readonly ok: true; readonly journey: Journey } | Refused>;
  /** Folds, makes, decides and appends in one transaction. Refused: nothing at all was written. */
  readonly propose: (vm: VmId, peer: TrustDomain, make: Making<Proposal>) => Promise<Proposed>;
}

/** Once all that our ledgers say now is durable outside of the database. */
export async function keepLedgers({ peers, keep }: Pick<Journal, 'peers' | 'keep'>): Promise<void> {
  for (const peer of peers.slice()) await keep(peer);
}

/** What peers know of us, and this database does not, may still come home: by default any peer. Nobody waits for those that are peers no more. */
export async function isBehind(
  { heads, peers: all }: Pick<Journal, 'heads' | 'peers'>,
  peers: readonly TrustDomain[] = all,
): Promise<boolean> {
  return (await heads()).some(({ audience, quarantinedAt }) => quarantinedAt !== undefined && peers.includes(audience));
}

type Refuse = (refused: Refused) => never;

/** @param announced the policy set of this process: said in a ledger before the first decision there that quotes it */
export function createLedgers(journal: Journal, self: TrustDomain, nowMs: () => number, announced: PolicyAnnounced): Ledgers {
  const folds = createFolds();
  const foldedTo: Ledgers['foldedTo'] = async (vm, peer) => {
    const events = await journal.eventsOfVm({ vm, peer });
    return { journey: folds(vm, peer, events), ends: endsOf({ vm, peer }, events), cameHome: events.some(isHomecomer(self)) };
  };
  const relied = async (vm: VmId, peer: TrustDomain): Promise<Journey> => {
    const { journey, ends } = await foldedTo(vm, peer);
    await journal.keep(peer, ends);
    return journey;
  };
  return {
    journey: async (vm, peer) => (await foldedTo(vm, peer)).journey,
    foldedTo,
    journeys: async (vm) => Promise.all((await journal.peersOfVm(vm)).map((peer) => relied(vm, peer))),
    isIdTaken: async ({ migration, vm, peer }) => {
      const events = await journal.eventsOfMigrations([migration]);
      return events.some(
        ({ event, placement }) => event?.type === 'MigrationIntended' && !(event.data.vm === vm && placement.publisher === peer),
      );
    },
    placedAt: async (event) => (await journal.event(event))?.placedAt,
    settled: async (vm, peer) => {
      const outcome = await journal.append(peer, async (tx) => ({
        drafts: [],
        value: folds(vm, peer, await tx.eventsOfVm({ vm, peer })),
      }));
      return outcome.ok ? { ok: true, journey: outcome.value.value } : { ok: false, code: outcome.code, text: outcome.text };
    },
    propose: (vm, peer, make) =>
      orRefused<Proposed, Refused>(async (refuse) => {
        const outcome = await journal.append(peer, async (tx) => ({
          drafts: await draftsOf(tx, vm, peer, make, refuse),
          value: undefined,
        }));
        if (!outcome.ok) return { ok: false, code: outcome.code, text: outcome.text };
        const appended = outcome.value.events.at(-1);
        if (appended === undefined) throw new Error('an append of a draft gave no event');
        return { ok: true, digest: appended.digest };
      }),
  };

  async function draftsOf(
    tx: AppendTx,
    vm: VmId,
    peer: TrustDomain,
    make: Making<Proposal>,
    refuse: Refuse,
  ): Promise<readonly Draft<Event>[]> {
    const current = folds(vm, peer, await tx.eventsOfVm({ vm, peer }));
    const proposal = await make(tx, current);
    if ('ok' in proposal) return refuse(proposal);
    const decision = decide(current, self, proposal, new Date(nowMs()).toISOString() as Timestamp);
    if (!decision.ok) return refuse({ ok: false, code: decision.code satisfies RefusalCode, text: decision.text });
    return [...(await announcementBefore(tx, peer, announced, decision.draft.data, refuse)), decision.draft];
  }
}

const isHomecomer =
  (self: TrustDomain) =>
  ({ placement, placedAt }: EventOfVm): boolean =>
    placement.publisher === self && placement.time !== placedAt;

/** Each ledger's events come in its own order, so the last one is its end. */
function endsOf({ vm, peer }: VmWithPeer, events: readonly PlacedEvent[]): JourneyEnds {
  const end = (from: 'own' | 'received') => {
    const last = events.findLast(({ placement }) => (placement.publisher === peer) === (from === 'received'));
    return last === undefined ? undefined : { seq: Number(last.placement.seq), digest: last.digest };
  };
  return { vm, peer, own: end('own'), received: end('received') };
}

/**
 * What the ledger must say first of the rules by which the proposal was decided. Under the head lock: a replica that still runs an
 * older set decides nothing after a newer one was announced.
 */
async function announcementBefore(
  tx: Pick<AppendTx, 'policiesAnnounced'>,
  peer: TrustDomain,
  announced: PolicyAnnounced,
  data: object,
  refuse: Refuse,
): Promise<readonly Draft<Event>[]> {
  if (!('policy' in data)) return [];
  const said = (await tx.policiesAnnounced(peer)).flatMap(({ event }) => (event?.type === 'PolicyAnnounced' ? [event.data] : []));
  const before = said.at(-1);
  const refusal = downgradeOf({ announced }, said.reduce<Announced | undefined>(highestAnnounced, undefined));
  if (refusal !== undefined) return refuse(refusal);
  const isSaid = before?.policySet === announced.policySet && before.engine === announced.engine;
  return isSaid ? [] : [{ type: 'PolicyAnnounced', causes: [], data: announced }];
}
