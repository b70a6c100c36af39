import { type AgreementTerms, agreementTerms, type Digest, digest, type Event, trustDomain } from '@carnet/events';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { agreedIn, openAgreements, termsFault } from './agreements.ts';

const [A, B, C] = ['csp-a.example', 'csp-b.example', 'csp-c.example'].map((name) => trustDomain.parse(name)) as [
  ReturnType<typeof trustDomain.parse>,
  ReturnType<typeof trustDomain.parse>,
  ReturnType<typeof trustDomain.parse>,
];
const NOW_MS = Date.parse('2026-06-01T00:00:00.000Z');
const termsOf = (version: number, more: Partial<AgreementTerms> = {}): AgreementTerms =>
  agreementTerms.parse({
    version,
    modes: ['cold'],
    algorithms: ['x25519-ml-kem-768'],
    escrow: { threshold: 2, shares: 3 },
    retentionDays: 365,
    jurisdictions: ['DE'],
    rollbackWindowSecondsMax: 300,
    notBefore: '2026-01-01T00:00:00.000Z',
    notAfter: '2027-01-01T00:00:00.000Z',
    ...more,
  });
const OWN = {
  nowMs: NOW_MS,
  rollbackWindowSeconds: 300,
  jurisdictionsOf: (csp: typeof A) => (csp === C ? ['DE', 'US'] : ['DE']),
};
const idOf = (n: number): Digest => digest.parse(n.toString(16).padStart(64, '0'));

type Said = { readonly digest: Digest; readonly event: Event | undefined; readonly voidCode?: string };
const proposed = (n: number, publisher: typeof A, terms: AgreementTerms): Said => ({
  digest: idOf(n),
  event: { type: 'AgreementProposed', publisher, seq: String(n), data: { terms } } as Event,
});
const accepted = (n: number, publisher: typeof A, proposal: number): Said => ({
  digest: idOf(n),
  event: { type: 'AgreementAccepted', publisher, seq: String(n), data: { proposal: idOf(proposal) } } as Event,
});

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

describe('terms', () => {
  it.each([
    ['another algorithm', { kem: '0x0010' }, 'ALGORITHM_NOT_AGREED'],
    ['a target that answers to more than was agreed on', { target: C }, 'JURISDICTION_NOT_AGREED'],
  ] as const)('refuse %s', (_, more, code) => {
    const good = { mode: 'cold', target: B, kem: '0x647a' } as const;
    expect(termsFault({ terms: termsOf(1) }, good, OWN)).toBeUndefined();
    expect(termsFault({ terms: termsOf(1) }, { ...good, ...more }, OWN)?.code).toBe(code);
  });

  it.each([
    ['unknown to the policy set', undefined],
    ['of no jurisdiction', []],
  ])('refuse a target that is %s', (_, said) => {
    const own = { ...OWN, jurisdictionsOf: () => said };
    expect(termsFault({ terms: termsOf(1) }, { mode: 'cold', target: B }, own)?.code).toBe('JURISDICTION_NOT_AGREED');
  });

  it('refuse a broker that keeps a longer window since', () => {
    const own = { ...OWN, rollbackWindowSeconds: 301 };
    expect(termsFault({ terms: termsOf(1) }, { mode: 'cold', target: B }, own)?.code).toBe('ROLLBACK_WINDOW_TOO_LONG');
  });

  it.each([
    ['in time and mode', termsOf(1), 'cold', undefined],
    ['of another mode', termsOf(1), 'suspend', 'MODE_NOT_AGREED'],
    [
      'that ended',
      termsOf(1, { notAfter: termsOf(1).notBefore, notBefore: '2025-01-01T00:00:00.000Z' as never }),
      'cold',
      'AGREEMENT_EXPIRED',
    ],
    ['that did not begin', termsOf(1, { notBefore: '2026-12-01T00:00:00.000Z' as never }), 'cold', 'AGREEMENT_NOT_BEGUN'],
  ] as const)('%s', (_, terms, mode, code) => {
    expect(termsFault({ terms }, { mode, target: B }, OWN)?.code).toBe(code);
  });

  it('that end before they begin, or want more shares than there are, are none', () => {
    expect(agreementTerms.safeParse({ ...termsOf(1), notAfter: '2025-01-01T00:00:00.000Z' }).success).toBe(false);
    expect(agreementTerms.safeParse({ ...termsOf(1), escrow: { threshold: 3, shares: 2 } }).success).toBe(false);
    expect(agreementTerms.safeParse({ ...termsOf(1), escrow: { threshold: 1, shares: 2 } }).success).toBe(false);
  });
});

describe('a broker', () => {
  /** Appends as A; what B says is put in by hand. */
  function broker(said: Said[] = [], self = A) {
    const journal = {
      peers: [A, B].filter((one) => one !== self),
      agreementsWith: async () => said,
      append: async (_: unknown, plan: (tx: never) => Promise<{ readonly drafts: readonly object[] }>) => {
        const { drafts } = await plan(undefined as never);
        const length = said.length;
        for (const draft of drafts)
          said.push({
            digest: idOf(100 + said.length),
            event: { ...draft, publisher: self, seq: String(100 + said.length) } as Event,
          });
        return { ok: true, value: { value: null, events: said.slice(length) } };
      },
    };
    const ports = { self, journal, ...OWN, nowMs: () => NOW_MS };
    return { said, agreements: openAgreements(ports as unknown as Parameters<typeof openAgreements>[0]) };
  }
  const { version: _version, ...wanted } = termsOf(1);

  it('binds itself by accepting, and names what it accepted as the cause', async () => {
    const { said, agreements } = broker([proposed(1, B, termsOf(1))]);
    expect(await agreements.fault(B, { mode: 'suspend', target: B })).toBeUndefined();
    expect(await agreements.accept(B, idOf(1))).toMatchObject({ ok: true, value: { inForce: { proposer: B } } });
    expect(said.at(-1)?.event).toMatchObject({ causes: [idOf(1)], data: { proposal: idOf(1) } });
    expect((await agreements.fault(B, { mode: 'suspend', target: B }))?.code).toBe('MODE_NOT_AGREED');
    expect(await agreements.fault(B, { mode: 'cold', target: B })).toBeUndefined();
  });

  it('proposes the version after the one in force, whatever number the peer took', async () => {
    const { agreements } = broker([proposed(1, B, termsOf(1)), accepted(2, A, 1), proposed(3, B, termsOf(1_000_000))]);
    expect(await agreements.propose(B, wanted)).toMatchObject({ ok: true, value: { proposer: A, terms: { version: 2 } } });
  });

  it('is told what it proposed, beside an older proposal of its own', async () => {
    const { agreements } = broker([proposed(1, A, termsOf(1, { modes: ['suspend'] }))]);
    expect(await agreements.propose(B, wanted)).toMatchObject({ ok: true, value: { terms: { modes: ['cold'] } } });
  });

  it('whose proposal would not count beside the peer’s says so, and says nothing in its ledger', async () => {
    const { said, agreements } = broker([proposed(1, A, termsOf(1))], B);
    expect(await agreements.propose(A, wanted)).toMatchObject({ ok: false, code: 'AGREEMENT_CROSSED' });
    expect(said).toHaveLength(1);
  });

  it.each([
    ['what nobody proposed', [], 9, 'AGREEMENT_UNKNOWN'],
    ['its own proposal', [proposed(1, A, termsOf(1))], 1, 'AGREEMENT_OWN'],
    ['what its own proposal has crossed', [proposed(1, B, termsOf(1)), proposed(2, A, termsOf(1))], 1, 'AGREEMENT_UNKNOWN'],
    ['a version that skips one', [proposed(1, B, termsOf(2))], 1, 'AGREEMENT_UNKNOWN'],
    ['what is over', [proposed(1, B, termsOf(1, { notAfter: '2026-02-01T00:00:00.000Z' as never }))], 1, 'AGREEMENT_EXPIRED'],
    [
      'a shorter window than it keeps',
      [proposed(1, B, termsOf(1, { rollbackWindowSecondsMax: 10 }))],
      1,
      'ROLLBACK_WINDOW_TOO_LONG',
    ],
  ] as const)('does not accept %s, and says nothing', async (_, before, n, code) => {
    const { said, agreements } = broker([...before]);
    expect(await agreements.accept(B, idOf(n))).toMatchObject({ ok: false, code });
    expect(said).toHaveLength(before.length);
  });

  it('agrees on nothing with a stranger', async () => {
    const { agreements } = broker();
    expect(await agreements.propose(C, wanted)).toMatchObject({ code: 'PEER_UNKNOWN' });
    expect(await agreements.accept(C, idOf(1))).toMatchObject({ code: 'PEER_UNKNOWN' });
    expect(await agreements.with(C)).toMatchObject({ code: 'PEER_UNKNOWN' });
  });
});
