import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { agreedIn, type Said } from './agreed.ts';
import { A, accepted, B, idOf, proposed, termsOf } from './testing.ts';

describe('what two ledgers agree on', () => {
  it('is what one proposed and the other accepted', () => {
    const events = [proposed(1, A, termsOf(1)), accepted(2, B, 1)];
    expect(agreedIn(events)).toEqual({
      inForce: { terms: termsOf(1), proposer: A, proposal: idOf(1), acceptance: idOf(2) },
      open: [],
    });
  });

  it.each([
    ['a proposal alone', [proposed(1, A, termsOf(1))]],
    ['its own proposal, accepted by itself', [proposed(1, A, termsOf(1)), accepted(2, A, 1)]],
    ['an acceptance of other bytes: one side altered the terms', [proposed(1, A, termsOf(1)), accepted(2, B, 9)]],
    ['an acceptance of an acceptance', [proposed(1, A, termsOf(1)), accepted(2, B, 3), accepted(3, A, 2)]],
    ['a void proposal', [{ ...proposed(1, A, termsOf(1)), voidCode: 'SCHEMA' }, accepted(2, B, 1)]],
    ['a void acceptance', [proposed(1, A, termsOf(1)), { ...accepted(2, B, 1), voidCode: 'SCHEMA' }]],
  ])('is nothing for %s', (_, events) => {
    expect(agreedIn(events).inForce).toBeUndefined();
  });

  it('is the highest version that both signed, whatever is accepted again', () => {
    const events = [
      proposed(1, A, termsOf(1, { modes: ['cold', 'suspend'] })),
      accepted(2, B, 1),
      proposed(3, B, termsOf(2)),
      accepted(4, A, 3),
      accepted(5, B, 1),
    ];
    expect(agreedIn(events).inForce?.terms.modes).toEqual(['cold']);
  });

  it('is the same for both, in whatever order events came', () => {
    const events = [
      proposed(1, A, termsOf(1)),
      accepted(2, B, 1),
      proposed(3, B, termsOf(2)),
      proposed(4, A, termsOf(2, { modes: ['suspend'] })),
      accepted(5, A, 3),
      accepted(6, B, 4),
      proposed(7, B, termsOf(3)),
    ];
    const whole = agreedIn(events);
    expect(whole.open).toHaveLength(1);
    fc.assert(
      fc.property(fc.shuffledSubarray(events, { minLength: events.length }), (shuffled) => {
        expect(agreedIn(shuffled).inForce).toEqual(whole.inForce);
      }),
    );
  });
});

describe('proposals that cross', () => {
  const [fromA, fromB] = [proposed(1, A, termsOf(1, { modes: ['suspend'] })), proposed(2, B, termsOf(1))];
  it.each<[string, readonly Said[], typeof A | undefined]>([
    ['nobody accepted: A’s counts', [fromA, fromB], undefined],
    ['B accepted A’s', [fromA, fromB, accepted(3, B, 1)], A],
    ['A accepted B’s after it had proposed itself: that counts for nothing', [fromA, fromB, accepted(4, A, 2)], undefined],
    ['both accepted the other’s: A’s', [fromA, fromB, accepted(3, B, 1), accepted(4, A, 2)], A],
    ['A accepted B’s, and proposed afterwards', [fromB, accepted(3, A, 2), proposed(5, A, termsOf(1))], B],
    [
      '… and B accepts that, too: it had been decided',
      [fromB, accepted(3, A, 2), proposed(5, A, termsOf(1)), accepted(6, B, 5)],
      B,
    ],
  ])('%s', (_, events, proposer) => {
    expect(agreedIn(events).inForce?.proposer).toBe(proposer);
  });

  it('what is in force stays so, whatever either says of that version afterwards, in whatever order it arrives', () => {
    const word = fc.oneof(
      fc.constantFrom(A, B).map((by) => (n: number) => proposed(n, by, termsOf(1))),
      // What is accepted was proposed before: its digest is the cause.
      fc.tuple(fc.constantFrom(A, B), fc.nat()).map(
        ([by, of]) =>
          (n: number) =>
            accepted(n, by, 1 + (of % n)),
      ),
    );
    fc.assert(
      fc.property(fc.array(word, { maxLength: 14 }), fc.infiniteStream(fc.nat()), (makers, random) => {
        const events = makers.map((make, i) => make(i + 1));
        let before: string | undefined;
        for (let length = 1; length <= events.length; length++) {
          const { inForce } = agreedIn(events.slice(0, length));
          if (before !== undefined) expect(inForce?.proposal).toBe(before);
          before = inForce?.proposal;
        }
        const shuffled = events.map((one) => ({ one, at: random.next().value })).toSorted((x, y) => x.at - y.at);
        expect(agreedIn(shuffled.map(({ one }) => one))).toEqual(agreedIn(events));
      }),
      { numRuns: 2_000 },
    );
  });
});
