import { type TrustDomain, trustDomain } from '@carnet/events';
import type { Ledger, StoredEvent } from '@carnet/journal';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { type Cursor, formatCursor, mergeLedgers, parseCursor, startCursor } from './cursor.ts';
import { CURSOR_CHARS_MAX } from './http/limits.ts';

const [a, b, c] = ['csp-a.example', 'csp-b.example', 'csp-c.example'].map((name) => trustDomain.parse(name)) as [
  TrustDomain,
  TrustDomain,
  TrustDomain,
];
const ledgersWith = (...peers: readonly TrustDomain[]): readonly Ledger[] =>
  peers.flatMap((peer) => [
    { publisher: a, audience: peer },
    { publisher: peer, audience: a },
  ]);
const ledgers = ledgersWith(b);
/** A place in these ledgers. */
const placeIn = (of: readonly Ledger[], ...read: readonly number[]): Cursor => [...read, ...startCursor(of).slice(of.length)];

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
      fc.property(fc.array(fc.nat(), { minLength: 2, maxLength: 2 }), (read) => {
        const cursor = placeIn(ledgers, ...read);
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
    formatCursor(placeIn(ledgers, 1)),
    formatCursor(placeIn(ledgers, 1, -1)),
    formatCursor(placeIn(ledgers, 1, Number.NaN)),
    formatCursor(placeIn(ledgers, 1, 2, 3)),
  ])('%s does not fit: from the beginning', (text) => {
    expect(parseCursor(text, ledgers)).toEqual(startCursor(ledgers));
  });

  it('of a broker that did not say which ledgers it meant is no error: from the beginning', () => {
    expect(parseCursor('7.7', ledgers)).toEqual(startCursor(ledgers));
  });

  it.each<[string, readonly Ledger[], readonly Ledger[]]>([
    ['one peer was removed and another came', ledgersWith(b), ledgersWith(c)],
    ['one peer of two did', ledgersWith(b, c), ledgersWith(trustDomain.parse('csp-aa.example'), b)],
    ['a peer came', ledgersWith(b), ledgersWith(b, c)],
    ['the order is another', ledgersWith(b, c), ledgersWith(c, b)],
    ['there are none any more', ledgersWith(b), []],
  ])('when %s, readers begin anew and miss nothing', (_, before, now) => {
    const read = formatCursor(placeIn(before, ...before.map(() => 7)));
    expect(parseCursor(read, before)).not.toEqual(startCursor(before));
    expect(parseCursor(read, now)).toEqual(startCursor(now));
  });

  it('fits into a request, whatever the peers have said', () => {
    const many = ledgersWith(...Array.from({ length: 64 }, (_, i) => trustDomain.parse(`csp-${i}.example`)));
    const longest = formatCursor(placeIn(many, ...many.map(() => Number.MAX_SAFE_INTEGER)));
    expect(longest.length).toBeLessThanOrEqual(CURSOR_CHARS_MAX);
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
      startCursor(ledgers),
      [
        [stored(1, 5), stored(2, 6)],
        [stored(1, 1), stored(2, 9)],
      ],
      10,
    );
    const places = [
      [0, 1],
      [1, 1],
      [2, 1],
      [2, 2],
    ];
    expect(merged.map(({ cursor }) => cursor)).toEqual(places.map((read) => formatCursor(placeIn(ledgers, ...read))));
  });
});
