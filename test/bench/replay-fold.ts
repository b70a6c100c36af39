import { type Digest, isMigrationEvent, type MigrationId, type VmId } from '@carnet/events';
import { coveredBy, type Ledger } from '@carnet/journal';
import { ended, evolve, initialJourney, type Journey } from '@carnet/saga';
import { type Admission, type AdmissionContext, admit, initialLedger, type LedgerState } from '@carnet/trust';
import type { JournalDb } from '../../libs/journal/src/ledgers.ts';
import { type Peek, peek } from '../../libs/journal/src/peek.ts';
import { CSP_A, CSP_B } from '../../libs/saga/src/testing.ts';
import { keyOf } from '../../libs/trust/src/testing/ledger.ts';
import { validateChain } from './ledger-pair.ts';
import { endOf, pages, publicKeyOf, type Row, verifiedInThreads } from './replay-reading.ts';

/**
 * How a replay comes to trust its events. `no-head`: every signature, one after the other. `no-head-threads`: every signature, in
 * libuv's threads. `head`: what one verified head vouches for (`coveredBy` over the whole ledger, in a reading of its own).
 * `head-last`: reads once, and counts only if the chain ends in that head.
 */
export type Way = 'no-head' | 'no-head-threads' | 'head' | 'head-last';
export type Replayed = { readonly events: number; readonly migrationsEnded: number };

export const LEDGERS: readonly [Ledger, Ledger] = [
  { publisher: CSP_A, audience: CSP_B },
  { publisher: CSP_B, audience: CSP_A },
];
/** Those of `replayDatabase`. */
const SIGNERS = new Map([
  [CSP_A, keyOf(1)],
  [CSP_B, keyOf(2)],
]);

type Placed = Extract<Admission, { readonly kind: 'placed' }>;
type Side = {
  /** The next admitted event, not yet folded. */
  readonly head: () => Placed | undefined;
  readonly folded: ReadonlySet<Digest>;
  /** To the event after the head; a promise only at the end of a page. */
  readonly advance: () => Promise<void> | undefined;
};

/** Whose signature need not be looked at again, page by page, by the way that is measured. */
async function vouching(
  db: JournalDb,
  ledger: Ledger,
  way: Way,
): Promise<(rows: readonly Row[]) => Promise<AdmissionContext['coveredByHead']>> {
  if (way === 'no-head-threads') {
    const signer = SIGNERS.get(ledger.publisher);
    if (signer === undefined) throw new Error(`no key of ${ledger.publisher}`);
    const key = publicKeyOf(signer.publicKey);
    return async (rows) => {
      const verified = await verifiedInThreads(rows, key);
      return (digest) => verified.has(digest);
    };
  }
  if (way === 'head') {
    const peeks: Peek[] = [];
    for await (const { made } of pages(db, ledger, (rows) => rows.map(({ envelope }) => peek(envelope)))) peeks.push(...made);
    const covered = coveredBy(await endOf(db, ledger), peeks);
    return async () => (digest) => covered.has(digest);
  }
  return async () => (way === 'head-last' ? () => true : undefined);
}

async function openSide(db: JournalDb, ledger: Ledger, way: Way): Promise<Side> {
  const incoming = pages(db, ledger, await vouching(db, ledger, way));
  const [ids, folded] = [new Set<string>(), new Set<Digest>()];
  let state: LedgerState = initialLedger(ledger.publisher, ledger.audience);
  let [rows, index]: [readonly Row[], number] = [[], 0];
  let covered: AdmissionContext['coveredByHead'];
  let head: Placed | undefined;
  const nowMs = Date.now();

  const admitNext = (): void => {
    const row = rows[index];
    if (row === undefined) return;
    const admission = admit(state, row.envelope, {
      nowMs,
      hasId: (id) => ids.has(id),
      digestAt: () => undefined,
      // Whoever merges the two ledgers waits until each cause was folded: an event without its cause is never folded.
      hasCause: () => true,
      validateChain,
      ...(covered === undefined ? {} : { coveredByHead: covered }),
    });
    if (admission.kind !== 'placed' || admission.voidCode !== undefined)
      throw new Error(`position ${row.seq}: ${JSON.stringify(admission)}`);
    state = admission.state;
    ids.add(admission.payload.id);
    head = admission;
  };
  const turn = async (): Promise<void> => {
    const page = await incoming.next();
    if (page.done === true) {
      // For `head-last` this is the verification: until here nothing that was folded counts.
      if (state.head?.digest !== (await endOf(db, ledger))) throw new Error('the ledger does not end in its head');
      return;
    }
    [rows, index, covered] = [page.value.rows, 0, page.value.made];
    admitNext();
  };
  await turn();
  return {
    head: () => head,
    folded,
    advance: () => {
      if (head !== undefined) folded.add(head.digest);
      head = undefined;
      index += 1;
      return index < rows.length ? void admitNext() : turn();
    },
  };
}

/** Folds both ledgers, each event after those that it relies on. */
export async function replay(db: JournalDb, way: Way): Promise<Replayed> {
  const [a, b] = [await openSide(db, LEDGERS[0], way), await openSide(db, LEDGERS[1], way)];
  const vms = new Map<MigrationId, VmId>();
  const journeys = new Map<VmId, Journey>();
  const fold = ({ event, digest }: Placed): void => {
    if (event === undefined || !isMigrationEvent(event)) return;
    if (event.type === 'MigrationIntended') vms.set(event.migration, event.data.vm);
    const vm = vms.get(event.migration);
    if (vm === undefined) return;
    const { journey, voidCode } = evolve(journeys.get(vm) ?? initialJourney(vm), { event, digest });
    if (voidCode !== undefined) throw new Error(`${event.type} is void: ${voidCode}`);
    journeys.set(vm, journey);
  };
  for (let moved = true; moved; ) {
    moved = false;
    for (const [mine, theirs] of [
      [a, b],
      [b, a],
    ] as const)
      for (let head = mine.head(); head?.payload.causes.every((cause) => theirs.folded.has(cause)) === true; head = mine.head()) {
        fold(head);
        moved = true;
        const page = mine.advance();
        if (page !== undefined) await page;
      }
  }
  if (a.head() !== undefined || b.head() !== undefined) throw new Error('an event relies on one that is not there');
  const migrationsEnded = [...journeys.values()].filter(({ migrations }) => migrations.every(ended)).length;
  return { events: a.folded.size + b.folded.size, migrationsEnded };
}
