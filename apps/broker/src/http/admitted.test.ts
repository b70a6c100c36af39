import { describe, expect, it } from 'vitest';
import { SHOWN } from '../users/testing/shown.ts';
import { STREAMS, stillAdmitted, underWay } from './admitted.ts';
import { JUDGED_FOR_MS } from './limits.ts';
import { PLANS } from './route.ts';

const READER = { principal: 'p', via: 'token', credential: SHOWN } as const;
const REVOKED = { ok: false, code: 'TOKEN_EXPIRED', text: 'revoked' } as const;

describe('whoever reads a stream', () => {
  it('is judged again when the last judgement is old, and not with each line', async () => {
    let [nowMs, judged] = [0, 0];
    let verdict: typeof READER | typeof REVOKED = READER;
    const still = stillAdmitted(
      async () => {
        judged += 1;
        return verdict;
      },
      () => nowMs,
    );
    verdict = REVOKED;
    nowMs = JUDGED_FOR_MS - 1;
    expect([await still(), judged]).toEqual([undefined, 0]);
    nowMs = JUDGED_FOR_MS;
    expect([await still(), judged]).toEqual([REVOKED, 1]);
    verdict = READER;
    nowMs = 2 * JUDGED_FOR_MS;
    expect([await still(), await still(), judged]).toEqual([undefined, undefined, 2]);
  });
});

describe('whoever asks for much at once', () => {
  it.each([STREAMS, PLANS])('has so many $what, and no more; others are not touched', ({ max, code, ...what }) => {
    const streams = underWay({ max, code, ...what });
    const left = Array.from({ length: max }, () => streams.enter('busy'));
    expect(left.every((one) => typeof one === 'function')).toBe(true);
    expect(streams.enter('busy')).toMatchObject({ ok: false, code });
    expect(streams.enter('other')).toBeTypeOf('function');
    const [first] = left;
    if (typeof first !== 'function') throw new Error('refused');
    first();
    first();
    expect(streams.enter('busy')).toBeTypeOf('function');
    expect(streams.enter('busy')).toMatchObject({ code });
  });
});
