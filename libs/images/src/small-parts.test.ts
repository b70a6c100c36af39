import { digest } from '@carnet/events';
import * as fc from 'fast-check';
import { expect, test } from 'vitest';
import { bitmap, runs } from './bitmap.ts';
import { turns } from './chunk-writer.ts';
import { decodeHead, encodeHead, FRAME_HEAD_BYTES, type FrameKind } from './frame.ts';
import { decodeKeptMap, encodeKeptMap } from './kept-map.ts';
import { RATE_SLEEP_MS_MAX } from './limits.ts';
import { decodeOpen } from './open-request.ts';
import { ImageError, refusalOf } from './outcome.ts';
import { progressMeter } from './progress.ts';
import { tokenBucket } from './token-bucket.ts';

const members = fc.record({
  length: fc.integer({ min: 1, max: 200 }),
  picks: fc.array(fc.nat(199)),
  holes: fc.array(fc.nat(199)),
});

test('a bitmap is a set; its runs cover it exactly, over holes but never over what is held', () => {
  fc.assert(
    fc.property(members, fc.integer({ min: 1, max: 50 }), ({ length, picks, holes }, countMax) => {
      const set = new Set(picks.filter((pick) => pick < length));
      const map = bitmap(length);
      for (const index of set) map.add(index);
      const found: number[] = [];
      for (let index = map.next(0); index < length; index = map.next(index + 1)) found.push(index);
      expect(found).toEqual([...set].sort((a, b) => a - b));
      expect(bitmap(length, map.bytes).bytes).toEqual(map.bytes);
      const hole = new Set(holes.filter((index) => !set.has(index)));
      const covered: number[] = [];
      for (const { first, count, last } of runs(map, (index) => hole.has(index), countMax)) {
        expect(count).toBeLessThanOrEqual(countMax);
        expect(last).toBe(first + count - 1);
        for (let index = first; index <= last; index++) expect(set.has(index) || hole.has(index)).toBe(true);
        for (let index = first; index <= last; index++) if (set.has(index)) covered.push(index);
      }
      expect(covered).toEqual(found);
    }),
  );
});

test('bits beyond the length are not taken over from a file', () => {
  expect(bitmap(10, Buffer.alloc(99, 0xff)).bytes).toEqual(Uint8Array.of(0xff, 0x03));
});

const kinds: readonly FrameKind[] = ['open', 'ask-digests', 'want', 'bye', 'accepted', 'refused', 'digests', 'chunk'];
test('frame heads come back as they were; any other bytes are refused, never thrown on', () => {
  fc.assert(
    fc.property(fc.constantFrom(...kinds), fc.nat(2 ** 31), fc.nat(0xffff_ffff), (kind, index, length) => {
      for (const from of ['receiver', 'source'] as const) {
        try {
          expect(decodeHead(encodeHead(kind, index, length), from)).toEqual({ kind, index, length });
        } catch (error) {
          expect(error).toBeInstanceOf(ImageError);
        }
      }
    }),
  );
  fc.assert(
    fc.property(
      fc.uint8Array({ minLength: FRAME_HEAD_BYTES, maxLength: FRAME_HEAD_BYTES }),
      fc.constantFrom('receiver', 'source'),
      (noise, from) => {
        try {
          decodeHead(Buffer.from(noise), from);
        } catch (error) {
          expect(error).toBeInstanceOf(ImageError);
        }
      },
    ),
  );
});

test('a map of kept chunks comes back as it was; with any byte changed, or as any other bytes, it is none', () => {
  const root = digest.parse('ab'.repeat(32));
  const text = fc.string({ maxLength: 40 });
  const state = fc.record({ boot: fc.option(text), inode: text, sizeBytes: text, changed: text });
  fc.assert(
    fc.property(state, fc.uint8Array(), fc.nat(), fc.integer({ min: 1, max: 255 }), (then, bits, place, flip) => {
      const map = { root, state: then, held: Buffer.from(bits) };
      const bytes = encodeKeptMap(map);
      expect(decodeKeptMap(bytes)).toEqual(map);
      const at = place % bytes.length;
      bytes.writeUInt8(bytes.readUInt8(at) ^ flip, at);
      expect(decodeKeptMap(bytes)).toBeUndefined();
    }),
  );
  fc.assert(
    fc.property(fc.uint8Array(), (noise) => {
      expect(decodeKeptMap(Buffer.from(noise))).toBeUndefined();
    }),
  );
});

test('an opening request that is anything but one is refused with its code', () => {
  fc.assert(
    fc.property(
      fc.oneof(
        fc.uint8Array(),
        fc.json().map((text) => Buffer.from(text)),
      ),
      (bytes) => {
        expect(() => decodeOpen(bytes)).toThrow('OPEN_MALFORMED');
      },
    ),
  );
});

test('a token bucket never lets more through than its rate and one second of burst', () => {
  fc.assert(
    fc.property(
      fc.integer({ min: 1_000, max: 1_000_000 }),
      fc.array(fc.record({ bytes: fc.nat(100_000), idleMs: fc.nat(50) }), { minLength: 1 }),
      (rate, steps) => {
        let now = 0;
        let sent = 0;
        const bucket = tokenBucket(rate, { nowMs: () => now, sleep: async () => undefined });
        for (const { bytes, idleMs } of steps) {
          const pause = bucket.spend(bytes);
          sent += bytes;
          expect(pause).toBeLessThanOrEqual(RATE_SLEEP_MS_MAX);
          now += pause + idleMs;
          if (pause < RATE_SLEEP_MS_MAX) expect(sent).toBeLessThanOrEqual(rate + (rate * now) / 1_000 + 1);
          else return; // the rate is below a chunk per pause: rounded up, as documented
        }
      },
    ),
  );
});

test('turns: never more at once than allowed, in order, and a failure frees its turn', async () => {
  const turn = turns(2);
  let running = 0;
  let most = 0;
  const order: number[] = [];
  const work = Array.from({ length: 10 }, (_, index) =>
    turn(async () => {
      order.push(index);
      most = Math.max(most, ++running);
      await new Promise((resolve) => setTimeout(resolve, 1));
      running--;
      if (index % 3 === 0) throw new Error('no');
    }),
  );
  await Promise.allSettled(work);
  expect([most, order]).toEqual([2, [0, 1, 2, 3, 4, 5, 6, 7, 8, 9]]);
});

test('progress: rate, and always the end', () => {
  let now = 0;
  const seen: (readonly [number, number])[] = [];
  const advance = progressMeter(3_000, 1_000, { nowMs: () => now, sleep: async () => undefined }, ({ bytes, bytesPerSecond }) =>
    seen.push([bytes, bytesPerSecond]),
  );
  for (const at of [100, 1_000, 1_050]) {
    now = at;
    advance(at === 1_050 ? 1_000 : 500);
  }
  expect(seen[0]).toEqual([2_000, 1_000]);
  expect(seen.at(-1)?.[0]).toBe(3_000);
});

test('errors of the machine are refusals, bugs are not', () => {
  const errno = (code: string): Error => Object.assign(new Error(code), { code });
  expect(['ENOSPC', 'EDQUOT', 'EIO', 'ENOENT'].map((code) => refusalOf(errno(code))?.code)).toEqual([
    'DISK_FULL',
    'DISK_FULL',
    'DISK_FAILED',
    'FILE_MISSING',
  ]);
  expect(refusalOf(new TypeError('x is not a function'))).toBeUndefined();
  expect(refusalOf('text')).toBeUndefined();
});
