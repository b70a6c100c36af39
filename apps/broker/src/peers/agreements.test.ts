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
const idOf = (n: number): Digest => digest.parse(n.toString(16).padStart(64, '0'));

type Said = { readonly digest: Digest; readonly event: Event | undefined; readonly voidCode?: string };
const proposed = (n: number, publisher: typeof A, terms: AgreementTerms): Said => ({
  digest: idOf(n),
  event: { type: 'AgreementProposed', publisher, data: { terms } } as Event,
});
const accepted = (n: number, publisher: typeof A, proposal: number): Said => ({
  digest: idOf(n),
  event: { type: 'AgreementAccepted', publisher, data: { proposal: idOf(proposal) } } as Event,
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

describe('terms', () => {
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
    expect(termsFault({ terms }, mode, NOW_MS)?.code).toBe(code);
  });

  it('that end before they begin, or want more shares than there are, are none', () => {
    expect(agreementTerms.safeParse({ ...termsOf(1), notAfter: '2025-01-01T00:00:00.000Z' }).success).toBe(false);
    expect(agreementTerms.safeParse({ ...termsOf(1), escrow: { threshold: 3, shares: 2 } }).success).toBe(false);
    expect(agreementTerms.safeParse({ ...termsOf(1), escrow: { threshold: 1, shares: 2 } }).success).toBe(false);
  });
});

describe('a broker', () => {
  /** Appends as A; what B says is put in by hand. */
  function broker(said: Said[] = []) {
    const journal = {
      peers: [B],
      agreementsWith: async () => said,
      append: async (_: unknown, plan: (tx: never) => Promise<{ readonly drafts: readonly object[] }>) => {
        const { drafts } = await plan(undefined as never);
        for (const draft of drafts) said.push({ digest: idOf(100 + said.length), event: { ...draft, publisher: A } as Event });
        return { ok: true, value: null };
      },
    };
    const ports = { self: A, journal, nowMs: () => NOW_MS, rollbackWindowSeconds: 300 };
    return { said, agreements: openAgreements(ports as unknown as Parameters<typeof openAgreements>[0]) };
  }
  const { version: _version, ...wanted } = termsOf(1);

  it('binds itself by accepting, and names what it accepted as the cause', async () => {
    const { said, agreements } = broker([proposed(1, B, termsOf(1))]);
    expect(await agreements.fault(B, 'suspend')).toBeUndefined();
    expect(await agreements.accept(B, idOf(1))).toMatchObject({ ok: true, value: { inForce: { proposer: B } } });
    expect(said.at(-1)?.event).toMatchObject({ causes: [idOf(1)], data: { proposal: idOf(1) } });
    expect((await agreements.fault(B, 'suspend'))?.code).toBe('MODE_NOT_AGREED');
    expect(await agreements.fault(B, 'cold')).toBeUndefined();
  });

  it('proposes above everything that is agreed or open', async () => {
    const { agreements } = broker([proposed(1, B, termsOf(4))]);
    expect(await agreements.propose(B, wanted)).toMatchObject({ ok: true, value: { proposer: A, terms: { version: 5 } } });
  });

  it.each([
    ['what nobody proposed', [], 9, 'AGREEMENT_UNKNOWN'],
    ['its own proposal', [proposed(1, A, termsOf(1))], 1, 'AGREEMENT_OWN'],
    ['what was replaced', [proposed(1, B, termsOf(1)), proposed(2, A, termsOf(2)), accepted(3, B, 2)], 1, 'AGREEMENT_UNKNOWN'],
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
