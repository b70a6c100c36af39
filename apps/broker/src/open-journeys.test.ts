import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { digest, headPosition, seq, trustDomain, type VmId, vmId } from '@carnet/events';
import type { JourneyEnds, LedgerHead } from '@carnet/journal';
import { runChanges, type Store } from '@carnet/store';
import { sha256Hex } from '@carnet/trust';
import { sql } from 'kysely';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { openEmptyStore } from '../../../libs/store/src/testing.ts';
import { createOpenJourneys } from './open-journeys.ts';
import { openSettledTable, type SettledTable, settledChanges } from './settled-table.ts';

const A = trustDomain.parse('csp-a.example');
const B = trustDomain.parse('csp-b.example');
const vmOf = (n: number): VmId => vmId.parse(`csp-a.example/9b4e28ba-2fa1-41d2-883f-0016d3cca4${String(n).padStart(2, '0')}`);
const [ONE, TWO, THREE] = [vmOf(1), vmOf(2), vmOf(3)];

const dir = mkdtempSync(join(tmpdir(), 'carnet-settled-'));
let store: Store;
let table: SettledTable;
beforeAll(async () => {
  store = await openEmptyStore(join(dir, 'db'));
  await runChanges(store, settledChanges);
  table = openSettledTable(store);
}, 60_000);
afterAll(async () => {
  await store.close();
  rmSync(dir, { recursive: true });
});
beforeEach(() => sql`delete from broker_settled`.execute(store.db));

type Told = { readonly from: typeof A; readonly vm: VmId; readonly opens: boolean; readonly text: string };

/** Two ledgers between A and B as A's journal answers about them; each event's digest follows from all before it. */
function world() {
  const told: Told[] = [];
  const ledger = (from: typeof A) => {
    const events = told.filter((event) => event.from === from);
    return events.map((event, i) => ({
      ...event,
      seq: i + 1,
      digest: digest.parse(sha256Hex(Buffer.from(JSON.stringify(events.slice(0, i + 1))))),
    }));
  };
  const end = (from: typeof A, vm: VmId) => {
    const last = ledger(from).findLast((event) => event.vm === vm);
    return last === undefined ? undefined : { seq: last.seq, digest: last.digest };
  };
  const endsOf = (vm: VmId): JourneyEnds => ({ vm, peer: B, own: end(A, vm), received: end(B, vm) });
  const head = (from: typeof A): LedgerHead => {
    const last = ledger(from).at(-1);
    const position = last === undefined ? null : headPosition.parse({ seq: seq.parse(String(last.seq)), digest: last.digest });
    return { publisher: from, audience: from === A ? B : A, head: position, ackedSeq: 0, readBackSeq: 0, coveredSeq: 0 };
  };
  const vms = (): readonly VmId[] => [...new Set(told.filter(({ opens }) => opens).map(({ vm }) => vm))].toSorted();
  return {
    endsOf,
    say: (vm: VmId, text: string, { from = A, opens = false } = {}) => told.push({ from, vm, opens, text }),
    /** The database as it was so many events ago. */
    restore: (events: number) => told.splice(told.length - events),
    journal: {
      peers: [B],
      heads: async () => [head(A), head(B)],
      journeyEnds: async (after: VmId | undefined) =>
        vms()
          .filter((vm) => vm > (after ?? ''))
          .map(endsOf),
      opened: async ({ publisher }: { readonly publisher: typeof A }, range: { readonly after: number; readonly upTo: number }) =>
        ledger(publisher)
          .filter(({ opens, seq: at }) => opens && at > range.after && at <= range.upTo)
          .map(({ vm, seq: at }) => ({ vm, seq: at })),
    },
  };
}
type World = ReturnType<typeof world>;

/** A replica from its start. */
const start = ({ journal }: World, of: SettledTable = table) => createOpenJourneys(A, journal, of);
/** Without those that are looked at again at leisure. */
const notBelieved: SettledTable = {
  write: (ends) => table.write(ends),
  without: (ends) => table.without(ends),
  page: async () => [],
};
const sweepOf = async (open: ReturnType<typeof start>): Promise<readonly VmId[]> => (await open.sweep()).map(({ vm }) => vm);

/** One and Two ended, Three is under way. */
async function lived() {
  const ledgers = world();
  for (const vm of [ONE, TWO, THREE]) ledgers.say(vm, 'intended', { opens: true });
  for (const vm of [ONE, TWO]) ledgers.say(vm, 'finalized', { from: B });
  const first = start(ledgers, notBelieved);
  expect((await sweepOf(first)).toSorted()).toEqual([ONE, TWO, THREE]);
  for (const vm of [ONE, TWO]) await first.settle(ledgers.endsOf(vm), 'for-good');
  return { ledgers, first };
}

describe('journeys that a sweep looks at', () => {
  it('are those not found settled, and those opened since; a restart knows', async () => {
    const { ledgers, first } = await lived();
    expect([await sweepOf(first), first.count()]).toEqual([[THREE], 1]);
    ledgers.say(ONE, 'intended again', { opens: true });
    expect((await sweepOf(first)).toSorted()).toEqual([ONE, THREE]);
    expect((await sweepOf(start(ledgers, notBelieved))).toSorted()).toEqual([ONE, THREE]);
  });

  it('stay when an intent was placed that the fold has not seen', async () => {
    const { ledgers, first } = await lived();
    const folded = ledgers.endsOf(THREE);
    ledgers.say(THREE, 'intended by the peer', { from: B, opens: true });
    await first.sweep();
    await first.settle(folded, 'for-good');
    expect(await sweepOf(first)).toEqual([THREE]);
    expect(await sweepOf(start(ledgers, notBelieved))).toEqual([THREE]);
  });

  it('after a restart are also those of which any event came after the look', async () => {
    const { ledgers } = await lived();
    ledgers.say(TWO, 'a last word of the peer, placed before a crash', { from: B });
    expect((await sweepOf(start(ledgers, notBelieved))).toSorted()).toEqual([TWO, THREE]);
  });

  it('after a restart are not those settled by the clock alone forgotten', async () => {
    const { ledgers, first } = await lived();
    await first.settle(ledgers.endsOf(THREE), 'for-now');
    expect(await sweepOf(first)).toEqual([]);
    expect(await sweepOf(start(ledgers, notBelieved))).toEqual([THREE]);
  });

  it('are those that were settled, and of which somebody knows better, until they are settled again', async () => {
    const { ledgers, first } = await lived();
    await first.settle(ledgers.endsOf(THREE), 'for-now');
    first.keep(ledgers.endsOf(THREE));
    expect(await sweepOf(first)).toEqual([THREE]);
    await first.settle(ledgers.endsOf(THREE), 'for-now');
    expect(await sweepOf(first)).toEqual([]);
  });
});

describe('a row of what is settled', () => {
  it('that is lost costs a look', async () => {
    const { ledgers } = await lived();
    await sql`delete from broker_settled where vm = ${TWO}`.execute(store.db);
    expect((await sweepOf(start(ledgers, notBelieved))).toSorted()).toEqual([TWO, THREE]);
  });

  it('of a past that a restored database has not, or has otherwise, counts for nothing', async () => {
    const { ledgers } = await lived();
    ledgers.restore(1);
    expect((await sweepOf(start(ledgers, notBelieved))).toSorted()).toEqual([TWO, THREE]);
    ledgers.say(TWO, 'relinquished', { from: B });
    expect((await sweepOf(start(ledgers, notBelieved))).toSorted()).toEqual([TWO, THREE]);
    ledgers.restore(1);
    ledgers.say(TWO, 'finalized', { from: B });
    expect(await sweepOf(start(ledgers, notBelieved))).toEqual([THREE]);
  });

  it('is not needed to see that a database was restored under a running broker', async () => {
    const { ledgers, first } = await lived();
    expect(await sweepOf(first)).toEqual([THREE]);
    ledgers.restore(1);
    expect((await sweepOf(first)).toSorted()).toEqual([TWO, THREE]);
  });

  it('of two replicas is the last one written, and an older one only costs a look', async () => {
    const { ledgers, first } = await lived();
    const second = start(ledgers, notBelieved);
    await second.sweep();
    const older = ledgers.endsOf(THREE);
    ledgers.say(THREE, 'finalized', { from: B });
    await first.settle(ledgers.endsOf(THREE), 'for-good');
    await second.settle(older, 'for-good');
    expect(await sweepOf(start(ledgers, notBelieved))).toEqual([THREE]);
    await second.settle(ledgers.endsOf(THREE), 'for-good');
    expect(await sweepOf(start(ledgers, notBelieved))).toEqual([]);
  });

  it('that lies puts a look off, no more: what is believed has its turn, once', async () => {
    const { ledgers } = await lived();
    for (let n = 10; n < 20; n++) ledgers.say(vmOf(n), 'intended', { opens: true });
    for (let n = 10; n < 20; n++) await table.write(ledgers.endsOf(vmOf(n)));
    await table.write(ledgers.endsOf(THREE));
    const open = start(ledgers);
    const looked: VmId[] = [];
    for (let sweep = await sweepOf(open); sweep.length > 0; sweep = await sweepOf(open)) looked.push(...sweep);
    expect(looked).toEqual([ONE, TWO, THREE, ...Array.from({ length: 10 }, (_, i) => vmOf(10 + i))]);
    expect(await sweepOf(open)).toEqual([]);
  });

  it('that is no journey of ours is passed over', async () => {
    const { ledgers } = await lived();
    await sql`update broker_settled set vm = 'nonsense' where vm = ${ONE}`.execute(store.db);
    await sql`update broker_settled set peer = 'csp-x.example' where vm = ${TWO}`.execute(store.db);
    expect((await sweepOf(start(ledgers))).toSorted()).toEqual([ONE, TWO, THREE]);
  });
});
