import fc from 'fast-check';
import { expect, it } from 'vitest';
import type { LedgerEntry } from '../live/rows.ts';
import { inOrder } from './shown-event.ts';

const entryOf = (publisher: string, seq: number, second: number): LedgerEntry => ({
  digest: `${publisher}${seq}`,
  publisher,
  audience: publisher === 'a' ? 'b' : 'a',
  seq: String(seq),
  type: 'VmStarted',
  time: new Date(second * 1_000).toISOString(),
  state: 'received',
  envelope: '',
});

it('merges two ledgers by time', () => {
  const shuffled = [entryOf('b', 1, 2), entryOf('a', 2, 3), entryOf('a', 1, 1)];
  expect(inOrder(shuffled).map((e) => e.digest)).toEqual(['a1', 'b1', 'a2']);
});

it('keeps each ledger in its own order, whatever its clock did, and loses nothing', () => {
  const seconds = fc.array(fc.nat(100), { maxLength: 12 });
  fc.assert(
    fc.property(seconds, seconds, (a, b) => {
      const entries = [...a.map((s, i) => entryOf('a', i + 1, s)), ...b.map((s, i) => entryOf('b', i + 1, s))];
      const merged = inOrder(entries.toReversed());
      expect(merged).toHaveLength(entries.length);
      for (const publisher of ['a', 'b']) {
        const seqs = merged.filter((e) => e.publisher === publisher).map((e) => Number(e.seq));
        expect(seqs).toEqual(seqs.map((_, i) => i + 1));
      }
    }),
  );
});
