import { randomBytes } from 'node:crypto';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { KEY_BYTES } from '../limits.ts';
import { combineShares, SHARE_BYTES, splitKey } from './shamir.ts';

/** GF(2^8) of AES (FIPS 197, section 4.2) written out the slow way: an implementation of its own to hold the library to. */
function times(a: number, b: number): number {
  let [x, product] = [a, 0];
  for (let y = b; y > 0; y >>= 1) {
    if ((y & 1) === 1) product ^= x;
    x = (x << 1) ^ ((x & 0x80) === 0 ? 0 : 0x11b);
  }
  return product;
}
const inverse = (a: number): number => Array.from({ length: 256 }, (_, b) => b).find((b) => times(a, b) === 1) ?? 0;

/** Lagrange at 0; a share is its y bytes and then x. */
function interpolate(shares: readonly Uint8Array[]): Uint8Array {
  const x = shares.map((share) => share.at(-1) ?? 0);
  return Uint8Array.from({ length: KEY_BYTES }, (_, at) =>
    shares.reduce((sum, share, i) => {
      const weight = x.reduce((w, other, j) => (j === i ? w : times(w, times(other, inverse(other ^ (x[i] ?? 0))))), 1);
      return sum ^ times(share[at] ?? 0, weight);
    }, 0),
  );
}

const sizes = fc
  .integer({ min: 2, max: 16 })
  .chain((shares) => fc.record({ shares: fc.constant(shares), threshold: fc.integer({ min: 2, max: shares }) }));

describe('Shamir’s scheme', () => {
  it('any M of N shares give the key, as an independent interpolation says, too', async () => {
    await fc.assert(
      fc.asyncProperty(sizes, fc.infiniteStream(fc.nat()), async (size, order) => {
        const key = randomBytes(KEY_BYTES);
        const dealt = await splitKey(key, size);
        expect(dealt.map(({ length }) => length)).toEqual(dealt.map(() => SHARE_BYTES));
        const some = dealt
          .map((share) => ({ share, rank: order.next().value }))
          .sort((a, b) => Number(a.rank) - Number(b.rank))
          .slice(0, size.threshold)
          .map(({ share }) => share);
        expect(Buffer.from(await combineShares(some)).equals(key)).toBe(true);
        expect(Buffer.from(interpolate(some)).equals(key)).toBe(true);
      }),
      { numRuns: 30 },
    );
  });

  it('too few shares, or a changed one, silently give another key: nothing here may be believed unchecked', async () => {
    const key = randomBytes(KEY_BYTES);
    const [first, second, third] = await splitKey(key, { threshold: 3, shares: 3 });
    if (first === undefined || second === undefined || third === undefined) throw new Error('three shares');
    expect((await combineShares([first, second])).equals(key)).toBe(false);
    const changed = Buffer.from(third);
    changed[0] = (changed[0] ?? 0) ^ 1;
    expect((await combineShares([first, second, changed])).equals(key)).toBe(false);
  });
});
