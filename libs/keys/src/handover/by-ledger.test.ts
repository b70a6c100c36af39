import { epoch } from '@carnet/events';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { onKeys } from '../records/tables.ts';
import { ok } from '../result.ts';
import { begin, inlineProcess, must, openSide, released, retiring, type Side, snapshot, within } from '../testing/two-sides.ts';

let a: Side;
let b: Side;
/** Where the events are of that a database of A's has lost. */
let lost: Side;
beforeAll(async () => {
  [a, b, lost] = (await Promise.all([0, 1, 2].map(() => openSide({ process: inlineProcess() })))) as [Side, Side, Side];
}, 60_000);
afterAll(async () => {
  for (const side of [a, b, lost]) await side.close();
});

type Story = Awaited<ReturnType<typeof begin>>;
const statesOf = async (story: Story, from = a): Promise<ReadonlySet<string>> =>
  new Set(await Promise.all(story.keys.map(async (key) => must(await from.keys.show(key)).state)));
const did = (work: (tx: Parameters<Parameters<typeof within>[1]>[0]) => Promise<void>) =>
  within(a, async (tx) => ok(await work(tx)));

/** A's database as it was before the deposit, or before the release; and what its events say. */
async function restored(to: 'before the deposit' | 'before the release') {
  const story = await begin(a, b);
  const said = await released(a, b, story);
  const db = onKeys(a.store.db);
  const { migration } = story.handover;
  for (const { key } of story.keys)
    await db
      .updateTable('keys_holdings')
      .set({ state: 'active', image_root: null, used_by: null })
      .where('key', '=', key)
      .execute();
  if (to === 'before the release')
    await db
      .updateTable('keys_deposits')
      .set({ state: 'acknowledged', release: null })
      .where('migration', '=', migration)
      .execute();
  else {
    await db.deleteFrom('keys_deposits').where('migration', '=', migration).execute();
    await db.deleteFrom('keys_handovers').where('migration', '=', migration).execute();
  }
  const { epoch: attempt, vm } = story.handover;
  const event = { migration, epoch: attempt, vm, deposit: said.deposit, release: said.release.data };
  return { story, event, whole: { ...event, handover: story.handover } };
}

describe.each(['before the deposit', 'before the release'] as const)('a database of %s', (to) => {
  it('suspends what was released, by the ledger; asked again nothing changes', async () => {
    const { story, whole } = await restored(to);
    must(await did((tx) => a.keys.releasedByLedger(tx, whole)));
    expect(await statesOf(story)).toEqual(new Set(['suspended']));
    const before = await snapshot(a);
    must(await did((tx) => a.keys.releasedByLedger(tx, whole)));
    expect(await snapshot(a)).toBe(before);
  });

  it('has the keys in use again once the VM is given back, and lets nothing suspend them then', async () => {
    const { story, whole } = await restored(to);
    must(await did((tx) => a.keys.releasedByLedger(tx, whole)));
    must(await within(a, (tx) => a.keys.resume(tx, story.handover)));
    must(await did((tx) => a.keys.releasedByLedger(tx, whole)));
    expect(await statesOf(story)).toEqual(new Set(['active']));
  });

  it('destroys them once the VM is gone', async () => {
    const { story, whole } = await restored(to);
    must(await did((tx) => a.keys.releasedByLedger(tx, whole)));
    must(await within(a, (tx) => a.keys.retire(tx, retiring(story))));
    expect(await statesOf(story)).toEqual(new Set(['destroyed']));
  });

  it('suspends before the peer’s part of the agreement is here, and makes the record when it is', async () => {
    const { story, event, whole } = await restored(to);
    must(await did((tx) => a.keys.releasedByLedger(tx, { ...event, handover: undefined })));
    expect(await statesOf(story)).toEqual(new Set(['suspended']));
    must(await did((tx) => a.keys.releasedByLedger(tx, whole)));
    expect(await a.keys.unendedOf([event.migration])).toEqual([event.migration]);
  });
});

it('the key of a saved memory that was lost as well: the others are in use again without it', async () => {
  const { story, whole } = await restored('before the deposit');
  const [disk, memory] = story.keys;
  if (disk === undefined || memory === undefined) throw new Error('no keys');
  await onKeys(a.store.db).deleteFrom('keys_holdings').where('key', '=', memory.key).execute();
  must(await did((tx) => a.keys.releasedByLedger(tx, whole)));
  expect(must(await a.keys.show(disk)).state).toBe('suspended');
  must(await within(a, (tx) => a.keys.resume(tx, story.handover)));
  expect(must(await a.keys.show(disk)).state).toBe('active');
});

it('leaves what came later than the release, and writes nothing where nothing of the keys is', async () => {
  const story = await begin(lost, b, { epoch: epoch.parse(2) });
  const said = await released(lost, b, story);
  const { migration, epoch: attempt, vm } = story.handover;
  const whole = { migration, epoch: attempt, vm, handover: story.handover, deposit: said.deposit, release: said.release.data };
  const before = [await snapshot(a), await snapshot(b)];
  must(await did((tx) => a.keys.releasedByLedger(tx, whole)));
  // B holds these keys as they came in that epoch.
  must(await within(b, async (tx) => ok(await b.keys.releasedByLedger(tx, whole))));
  expect([await snapshot(a), await snapshot(b)]).toEqual(before);
});

it('an operator’s word reaches the peer again with which the keys were shared', async () => {
  const { story, whole } = await restored('before the deposit');
  const sharedWith = async () => Promise.all(story.keys.map(async (key) => must(await a.keys.show(key)).shared));
  expect(await sharedWith()).toEqual([[], []]);
  for (let twice = 0; twice < 2; twice += 1)
    must(await did((tx) => a.keys.sharedByLedger(tx, story.handover, whole.deposit.data.keys, 'out')));
  const { migration, target } = story.handover;
  expect(await sharedWith()).toEqual(story.keys.map(() => [{ peer: target, migration, direction: 'out' }]));
});
