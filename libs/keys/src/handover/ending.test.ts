import { randomUUID } from 'node:crypto';
import { epoch, keyId } from '@carnet/events';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { vmConsumer } from '../deks.ts';
import { ok } from '../result.ts';
import {
  begin,
  deposited,
  inlineProcess,
  must,
  newMigration,
  openSide,
  record,
  released,
  retiring,
  type Side,
  snapshot,
  within,
} from '../testing/two-sides.ts';

let a: Side;
let b: Side;
beforeAll(async () => {
  [a, b] = await Promise.all([openSide({ process: inlineProcess() }), openSide({ process: inlineProcess() })]);
}, 60_000);
afterAll(async () => {
  await a.close();
  await b.close();
});

const statesOf = async (story: Awaited<ReturnType<typeof begin>>): Promise<readonly string[]> =>
  Promise.all(story.keys.map(async (key) => must(await a.keys.show(key)).state));

describe('a resume', () => {
  it('makes active what its own release suspended', async () => {
    const story = await begin(a, b);
    await released(a, b, story);
    expect(new Set(await statesOf(story))).toEqual(new Set(['suspended']));
    must(await within(a, (tx) => a.keys.resume(tx, story.handover)));
    expect(new Set(await statesOf(story))).toEqual(new Set(['active']));
  });

  it('before any release leaves suspended what somebody else suspended: a key given to another peer must not open here again', async () => {
    const story = await begin(a, b);
    await deposited(a, b, story);
    const [key] = story.keys;
    if (key === undefined) throw new Error('no key');
    must(await within(a, (tx) => a.keys.changeState(tx, { ...key, to: 'suspended', reason: 'released to another peer' })));
    must(await within(a, (tx) => a.keys.resume(tx, story.handover)));
    expect((await statesOf(story))[0]).toBe('suspended');
  });
});

describe('retiring by the ledger alone, since the database is a backup', () => {
  type Story = Awaited<ReturnType<typeof begin>>;
  const byLedger = (story: Story, keys = story.keys) => ({ ...retiring(story), keys, cause: story.handover.intent });
  const consumersOf = (story: Story) => a.keys.consumersOf(story.keys.map(({ key }) => key));

  it('destroys what was never recorded as deposited here, and asked again answers the same', async () => {
    const story = await begin(a, b);
    const keys = story.keys.map(({ key }) => key);
    for (let twice = 0; twice < 2; twice++)
      expect(must(await within(a, (tx) => a.keys.retire(tx, byLedger(story))))).toEqual(keys);
    expect(new Set(await statesOf(story))).toEqual(new Set(['destroyed']));
  });

  it('destroys what was deposited and, here, not released yet; nothing opens that deposit any more', async () => {
    const story = await begin(a, b);
    await deposited(a, b, story);
    must(await within(a, (tx) => a.keys.retire(tx, byLedger(story))));
    expect(new Set(await statesOf(story))).toEqual(new Set(['destroyed']));
    expect(await within(a, (tx) => a.keys.resume(tx, story.handover))).toMatchObject({ ok: false, code: 'DEPOSIT_STATE' });
  });

  const gone = new Set(['destroyed']);
  /** By another move of the same VM, in a later epoch or in this one, which names none of the keys that are here. */
  const byAnotherMove = ({ handover }: Story, later = 2) => ({
    migration: newMigration(),
    epoch: handover.epoch + later,
    vm: handover.vm,
    keys: [{ key: keyId.parse(randomUUID()), version: 1 }],
    cause: handover.intent,
  });

  it('destroys what the VM uses here, of before an earlier move of which this database knows nothing: since, it left with another key', async () => {
    const story = await begin(a, b);
    must(await within(a, (tx) => a.keys.retire(tx, byAnotherMove(story))));
    const [disk] = story.keys;
    if (disk === undefined) throw new Error('no key');
    expect(must(await a.keys.show(disk)).state).toBe('destroyed');
    expect((await consumersOf(story)).size).toBe(0);
  });

  it('destroys what an earlier move had deposited, saved memory and all, and what opens it', async () => {
    const story = await begin(a, b);
    await released(a, b, story);
    must(await within(a, (tx) => a.keys.retire(tx, byAnotherMove(story))));
    expect(new Set(await statesOf(story))).toEqual(gone);
    expect(await a.keys.unendedOf([story.handover.migration])).toEqual([]);
  });

  it('leaves what came later than the VM left, although it uses that: it is here again', async () => {
    const story = await begin(a, b, { epoch: epoch.parse(3) });
    const { acknowledged, roots, release } = await released(a, b, story);
    const { migration, epoch: attempt } = story.handover;
    const received = { migration, epoch: attempt, release, acknowledged: acknowledged.digest, roots };
    must(await record(b, await b.keys.openRelease(received)));
    must(await within(b, (tx) => b.keys.importKeys(tx, { migration, epoch: attempt, release: release.digest })));
    const before = await snapshot(b);
    must(await within(b, (tx) => b.keys.retire(tx, { ...byAnotherMove(story, 0), keys: story.keys })));
    expect(await snapshot(b)).toBe(before);
  });

  it('leaves a key of the VM that it does not use, and that no move took: nothing says that it is over', async () => {
    const story = await begin(a, b);
    for (const { key } of story.keys)
      await within(a, async (tx) => ok(await a.keys.removeConsumer(tx, key, vmConsumer(story.handover.vm))));
    const before = await snapshot(a);
    must(await within(a, (tx) => a.keys.retire(tx, byAnotherMove(story))));
    expect(await snapshot(a)).toBe(before);
  });

  it('leaves the deposits of other VMs', async () => {
    const [story, other] = [await begin(a, b), await begin(a, b)];
    await deposited(a, b, other);
    must(await within(a, (tx) => a.keys.retire(tx, byAnotherMove(story))));
    expect(await a.keys.unendedOf([other.handover.migration])).toEqual([other.handover.migration]);
    expect(new Set(await statesOf(other))).toEqual(new Set(['active']));
  });

  it('is the ordinary retirement where the release is recorded', async () => {
    const story = await begin(a, b);
    await released(a, b, story);
    must(await within(a, (tx) => a.keys.retire(tx, byLedger(story))));
    expect(must(await within(a, (tx) => a.keys.retire(tx, retiring(story))))).toHaveLength(story.keys.length);
  });

  it('touches no key of another VM, whatever the event names', async () => {
    const story = await begin(a, b);
    const other = await begin(a, b);
    must(await within(a, (tx) => a.keys.retire(tx, byLedger(story, [...story.keys, ...other.keys]))));
    expect(new Set(await statesOf(other))).toEqual(new Set(['active']));
  });

  it('destroys nothing that somebody else needs', async () => {
    const story = await begin(a, b);
    const [key] = story.keys;
    if (key === undefined) throw new Error('no key');
    must(
      await within(a, async (tx) => {
        await a.keys.addConsumer(tx, key.key, 'image:base');
        return { ok: true, value: null };
      }),
    );
    const before = [await statesOf(story), await consumersOf(story)];
    expect(await within(a, (tx) => a.keys.retire(tx, byLedger(story)))).toMatchObject({ ok: false, code: 'KEY_IN_USE' });
    expect([await statesOf(story), await consumersOf(story)]).toEqual(before);
  });
});
