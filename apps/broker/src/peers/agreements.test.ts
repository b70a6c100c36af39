import { AGREEMENT_EVENTS_MAX, agreementTerms, type Event } from '@carnet/events';
import type { Said } from '@carnet/policy';
import { describe, expect, it } from 'vitest';
import { A, accepted, B, C, idOf, proposed, termsOf } from '../../../../libs/policy/src/testing.ts';
import { faultUnder, openAgreements } from './agreements.ts';

const NOW_MS = Date.parse('2026-06-01T00:00:00.000Z');
const OWN = {
  rollbackWindowSeconds: 300,
  jurisdictionsOf: (csp: typeof A) => (csp === C ? ['DE', 'US'] : ['DE']),
};
describe('terms', () => {
  it.each([
    ['another algorithm', { kem: '0x0010' }, 'ALGORITHM_NOT_AGREED'],
    ['a target that answers to more than was agreed on', { target: C }, 'JURISDICTION_NOT_AGREED'],
  ] as const)('refuse %s', (_, more, code) => {
    const good = { mode: 'cold', target: B, kem: '0x647a' } as const;
    expect(faultUnder(termsOf(1), good, NOW_MS, OWN)).toBeUndefined();
    expect(faultUnder(termsOf(1), { ...good, ...more }, NOW_MS, OWN)?.code).toBe(code);
  });

  it.each([
    ['unknown to the policy set', undefined],
    ['of no jurisdiction', []],
  ])('refuse a target that is %s', (_, said) => {
    const own = { ...OWN, jurisdictionsOf: () => said };
    expect(faultUnder(termsOf(1), { mode: 'cold', target: B }, NOW_MS, own)?.code).toBe('JURISDICTION_NOT_AGREED');
  });

  it('refuse a broker that keeps a longer window since', () => {
    const own = { ...OWN, rollbackWindowSeconds: 301 };
    expect(faultUnder(termsOf(1), { mode: 'cold', target: B }, NOW_MS, own)?.code).toBe('ROLLBACK_WINDOW_TOO_LONG');
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
    expect(faultUnder(terms, { mode, target: B }, NOW_MS, OWN)?.code).toBe(code);
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

  it('whose words are spent says no more, and what is in force stays', async () => {
    const spent = Array.from({ length: AGREEMENT_EVENTS_MAX - 1 }, (_, i) => proposed(10 + i, A, termsOf(1_000_000)));
    const { said, agreements } = broker([proposed(1, A, termsOf(1)), accepted(2, B, 1), ...spent, proposed(3, B, termsOf(2))]);
    const before = said.length;
    expect(await agreements.propose(B, wanted)).toMatchObject({ ok: false, code: 'AGREEMENT_WORDS_SPENT' });
    expect(await agreements.accept(B, idOf(3))).toMatchObject({ ok: false, code: 'AGREEMENT_WORDS_SPENT' });
    expect(said).toHaveLength(before);
    expect(await agreements.with(B)).toMatchObject({ value: { inForce: { proposal: idOf(1) } } });
  });

  it.each([
    ['as agreed', undefined, 2, 3, undefined],
    ['with a harder quorum', undefined, 3, 3, undefined],
    ['with an easier quorum', undefined, 1, 3, 'ESCROW_NOT_AGREED'],
    ['with more custodians', undefined, 2, 4, 'ESCROW_NOT_AGREED'],
    ['where none was agreed on', { escrow: undefined }, 2, 3, 'ESCROW_NOT_AGREED'],
  ] as const)('escrows what it received %s', async (_, more, threshold, shares, code) => {
    const { agreements } = broker([proposed(1, A, termsOf(1, more)), accepted(2, B, 1)]);
    expect((await agreements.escrowFault(B, { threshold, shares }))?.code).toBe(code);
  });

  it('is free to escrow where nothing was ever agreed on', async () => {
    expect(await broker().agreements.escrowFault(B, { threshold: 2, shares: 9 })).toBeUndefined();
  });

  it('agrees on nothing with a stranger', async () => {
    const { agreements } = broker();
    expect(await agreements.propose(C, wanted)).toMatchObject({ code: 'PEER_UNKNOWN' });
    expect(await agreements.accept(C, idOf(1))).toMatchObject({ code: 'PEER_UNKNOWN' });
    expect(await agreements.with(C)).toMatchObject({ code: 'PEER_UNKNOWN' });
  });
});
