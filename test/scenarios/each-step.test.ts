import { ed25519Verifier, sha256Hex } from '@carnet/trust';
import { describe, expect, it } from 'vitest';
import { placedEvent } from '../../libs/journal/src/stored-event.ts';
import { domainA, domainB, identity, keyOf, ledgerOf, refusedDraft, seal } from '../../libs/trust/src/testing/ledger.ts';
import type { Csp } from './sim/csp.ts';
import { createDeniable } from './sim/deniable.ts';
import type { Entry, News } from './sim/ledger-news.ts';
import { createTruth } from './sim/truth.ts';

const { envelopes } = ledgerOf(3);
const stranger = keyOf(7);
const entryOf = (envelope: Uint8Array): Entry => ({ ...placedEvent({ digest: sha256Hex(envelope), envelope }), envelope });
const cspOf = (domain: typeof domainA, restores = 0): Csp => ({ domain, restores }) as unknown as Csp;
const newsOf = (holder: Csp, bytes: readonly Uint8Array[]): News => ({
  holder,
  isAnew: true,
  entries: bytes.map(entryOf),
  damaged: undefined,
});
const identityWith = (publicKey: Uint8Array) => () =>
  ({ command: { verifier: ed25519Verifier(publicKey) } }) as unknown as Csp['identity'];

describe('what nobody can deny', () => {
  const take = (bytes: readonly Uint8Array[], publicKey = identity.publicKey) =>
    createDeniable(identityWith(publicKey)).take(newsOf(cspOf(domainB), bytes))?.text;

  it('is one chain, signed by a key that its publisher’s certificate vouched for', () => {
    expect(take(envelopes)).toBeUndefined();
    expect(take(envelopes, stranger.publicKey)).toContain('1 is signed by nobody');
    expect(take(envelopes.slice(1))).toContain('does not follow 0');
    expect(take(envelopes.filter((_, i) => i !== 1))).toContain('3 does not follow 1');
  });

  it('is signed event by event', () => {
    const unsigned = seal(refusedDraft(ledgerOf(3)), stranger);
    expect(take([...envelopes, unsigned])).toContain('SIGNATURE_INVALID');
  });
});

describe('one truth', () => {
  const another = (by: number) => seal({ ...refusedDraft(ledgerOf(2)), time: `2026-11-23T12:00:0${by}.000Z` }, keyOf(0));

  it('has one event at each position, and no copy goes further than its publisher', () => {
    const [first, second] = envelopes;
    if (first === undefined || second === undefined) throw new Error('no ledger');
    const whole = [first, second, another(1)];
    const taken = (here: readonly Uint8Array[], there: readonly Uint8Array[], restores = 0) =>
      createTruth().take([newsOf(cspOf(domainA, restores), here), newsOf(cspOf(domainB), there)])?.rule;
    expect(taken(whole, whole)).toBeUndefined();
    expect(taken(whole, [first, second])).toBeUndefined();
    expect(taken(whole, [first, second, another(2)])).toBe('I3 one truth');
    expect(taken([first, second], whole)).toBe('I3 one truth');
    expect(taken([first, second], whole, 1)).toBeUndefined();
  });
});
