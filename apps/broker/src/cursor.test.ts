import { trustDomain } from '@carnet/events';
import type { Ledger, StoredEvent } from '@carnet/journal';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { formatCursor, mergeLedgers, parseCursor, startCursor } from './cursor.ts';

const a = trustDomain.parse('csp-a.example');
const b = trustDomain.parse('csp-b.example');
const ledgers: readonly Ledger[] = [
  { publisher: a, audience: b },
  { publisher: b, audience: a },
];

/** Only what merging reads. */
const stored = (seq: number, minute: number): StoredEvent =>
  ({ placement: { seq: String(seq) }, placedAt: new Date(minute * 60_000).toISOString() }) as unknown as StoredEvent;

/** Ledgers of up to 12 events each; within one ledger, times never go back. */
const histories = fc
  .array(fc.array(fc.nat(20), { maxLength: 12 }), { minLength: 2, maxLength: 2 })
  .map((all) => all.map((minutes) => minutes.toSorted((x, y) => x - y).map((minute, i) => stored(i + 1, minute))));

describe('cursor', () => {
  it('is read as it was written', () => {
    fc.assert(
      fc.property(fc.array(fc.nat(), { minLength: 2, maxLength: 2 }), (cursor) => {
        expect(parseCursor(formatCursor(cursor), ledgers)).toEqual(cursor);
      }),
    );
  });

  it.each([
    '',
    undefined,
    '1',
    '1.2.3',
    '1.x',
    '-1.2',
    '1.1.5',
    'NaN.NaN',
    '1e999.2',
  ])('%s does not fit: from the beginning', (text) => {
    expect(parseCursor(text, ledgers)).toEqual(startCursor(ledgers));
  });

  it('a reader that pages sees every event of every ledger once and in order, whatever the size of its pages', () => {
    fc.assert(
      fc.property(histories, fc.integer({ min: 1, max: 5 }), (history, limit) => {
        const seen: string[][] = history.map(() => []);
        for (let cursor = startCursor(ledgers); ; ) {
          const pages = history.map((events, i) => events.slice(cursor[i] ?? 0, (cursor[i] ?? 0) + limit));
          const merged = mergeLedgers(cursor, pages, limit);
          expect(merged.length).toBeLessThanOrEqual(limit);
          for (const { stored: event } of merged)
            seen[history.findIndex((events) => events.includes(event))]?.push(event.placement.seq);
          const last = merged.at(-1);
          if (last === undefined) break;
          cursor = parseCursor(last.cursor, ledgers);
        }
        expect(seen).toEqual(history.map((events) => events.map((event) => event.placement.seq)));
      }),
    );
  });

  it('orders by the time at which events came to stand here', () => {
    const merged = mergeLedgers(
      [0, 0],
      [
        [stored(1, 5), stored(2, 6)],
        [stored(1, 1), stored(2, 9)],
      ],
      10,
    );
    expect(merged.map(({ cursor }) => cursor)).toEqual(['0.1', '1.1', '2.1', '2.2']);
  });
});
