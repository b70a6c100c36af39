import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { begin, deposited, inlineProcess, must, openSide, released, retiring, type Side, within } from '../testing/two-sides.ts';

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
