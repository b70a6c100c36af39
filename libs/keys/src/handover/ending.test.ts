import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { begin, deposited, inlineProcess, must, openSide, released, type Side, within } from '../testing/two-sides.ts';

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
