import { type TrustDomain, vmId } from '@carnet/events';
import type { Journal, JourneyEnds, Ledger, LedgerHead, VmWithPeer } from '@carnet/journal';
import type { SettledTable } from './settled-table.ts';

/** Rows believed after a restart that are looked at again with each sweep: 10,000 in an hour, for 2 % of a core. */
const AGAIN_AT_ONCE = 5;

/** A journey that may owe something, and how far a fold must have come in either ledger to say that it does not. */
type Open = { readonly key: VmWithPeer; readonly own: number; readonly received: number };

export interface OpenJourneys {
  /** What a sweep has to look at. What was under way latest comes first. */
  readonly sweep: () => Promise<readonly VmWithPeer[]>;
  /** How many journeys may owe something. */
  readonly count: () => number;
  /** Folded up to here, this journey owes nothing. `for-good`: and will not by any clock. */
  readonly settle: (ends: JourneyEnds, how: 'for-good' | 'for-now') => Promise<void>;
  /** It does, though the fold does not say so: also one that was settled before, and of which no intent came since. */
  readonly keep: (ends: JourneyEnds) => void;
}

const nameOf = ({ vm, peer }: VmWithPeer): string => `${vm} ${peer}`;

/**
 * Which journeys a sweep looks at: those not found settled, and those of which an intent was placed since. By folding, never by the mere
 * presence of a last event in a ledger: a peer may publish that event at any time, and void, and our own side would be forgotten by
 * every restart. What is settled is kept in a table, so that a restart folds what is open and not a long past; what it believes, it
 * looks at again at leisure.
 */
export function createOpenJourneys(
  self: TrustDomain,
  journal: Pick<Journal, 'peers' | 'heads' | 'journeyEnds' | 'opened'>,
  table: SettledTable,
): OpenJourneys {
  const open = new Map<string, Open>();
  /** Up to where the intents of each ledger are known. Undefined: nothing is. */
  let known: ReadonlyMap<string, number> | undefined;
  let again: VmWithPeer | undefined | 'done';

  const note = (key: VmWithPeer, from: 'own' | 'received', seq: number): void => {
    const held = open.get(nameOf(key)) ?? { key, own: 0, received: 0 };
    open.set(nameOf(key), { ...held, [from]: Math.max(held[from], seq) });
  };

  const load = async (): Promise<void> => {
    open.clear();
    const found: JourneyEnds[] = [];
    for (let page = await journal.journeyEnds(undefined); page.length > 0; page = await journal.journeyEnds(page.at(-1)?.vm))
      found.push(...(await table.without(page)));
    for (const ends of found.toSorted(byLast)) keep(ends);
  };

  const noteNew = async (heads: readonly LedgerHead[], before: ReadonlyMap<string, number>): Promise<void> => {
    for (const head of heads) {
      const range = { after: before.get(ledgerName(head)) ?? 0, upTo: seqOf(head) };
      if (range.upTo === range.after) continue;
      const isOwn = head.publisher === self;
      for (const { vm, seq } of await journal.opened(head, range))
        note({ vm, peer: isOwn ? head.audience : head.publisher }, isOwn ? 'own' : 'received', seq);
    }
  };

  const keep = ({ vm, peer, own, received }: JourneyEnds): void => {
    note({ vm, peer }, 'own', own?.seq ?? 0);
    note({ vm, peer }, 'received', received?.seq ?? 0);
  };

  const lookAgain = async (): Promise<readonly VmWithPeer[]> => {
    if (again === 'done') return [];
    const rows = await table.page(again, AGAIN_AT_ONCE);
    again = rows.at(-1) ?? 'done';
    return rows.filter(({ vm, peer }) => vmId.safeParse(vm).success && journal.peers.includes(peer));
  };

  return {
    sweep: async () => {
      // Heads first: what is placed while we read comes with the next sweep, or with both.
      const heads = await journal.heads();
      // A ledger that went back was restored under us: whatever we know may be of events that are gone.
      if (known === undefined || heads.some((head) => seqOf(head) < (known?.get(ledgerName(head)) ?? 0))) {
        known = undefined;
        await load();
      } else await noteNew(heads, known);
      known = new Map(heads.map((head) => [ledgerName(head), seqOf(head)]));
      return [...[...open.values()].map(({ key }) => key), ...(await lookAgain())];
    },
    count: () => open.size,
    keep,
    settle: async (ends, how) => {
      const held = open.get(nameOf(ends));
      // An intent that the fold has not seen keeps it open.
      if (held !== undefined && held.own <= (ends.own?.seq ?? 0) && held.received <= (ends.received?.seq ?? 0))
        open.delete(nameOf(ends));
      if (how === 'for-good') await table.write(ends);
    },
  };
}

const ledgerName = ({ publisher, audience }: Ledger): string => `${publisher} ${audience}`;
const seqOf = ({ head }: LedgerHead): number => Number(head?.seq ?? 0);

/** Latest first: positions grow with time in each ledger, and that is near enough between ledgers. */
const byLast = (a: JourneyEnds, b: JourneyEnds): number => lastOf(b) - lastOf(a);
const lastOf = ({ own, received }: JourneyEnds): number => Math.max(own?.seq ?? 0, received?.seq ?? 0);
