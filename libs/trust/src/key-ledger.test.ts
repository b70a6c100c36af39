import { describe, expect, it } from 'vitest';
import { seqOf } from './bytes.ts';
import { currentKeys } from './key-ledger.ts';
import { announcement, append, keyOf, ledgerOf, offer, refusedDraft, revocation, seal, verdictOf } from './testing/ledger.ts';

const [first, second, third] = [keyOf(0), keyOf(1), keyOf(2)];
const start = ledgerOf(1);
const rotated = append(start, seal(announcement(start, second), second));
const currentIds = (ledger: typeof start) => currentKeys(ledger.state).map(({ keyid }) => keyid);
const settled = append(rotated, seal(revocation(rotated, first.keyid, seqOf(3)), second));

describe('rotation', () => {
  it('lets both keys sign until the old one is ended', () => {
    expect(currentIds(rotated)).toEqual([second.keyid, first.keyid]);
    for (const key of [first, second]) expect(verdictOf(offer(rotated, seal(refusedDraft(rotated), key)))).toBe('placed');
  });

  it('ends the old key by a KeyRevoked of the new one: what it signed before stays, what it signs after is refused', () => {
    expect(settled.state.keys).toMatchObject([
      { keyid: first.keyid, from: '1', to: '4', revoked: { at: '4', lastSeq: '3' } },
      { keyid: second.keyid, from: '3' },
    ]);
    expect(currentIds(settled)).toEqual([second.keyid]);
    expect(verdictOf(offer(settled, start.envelopes[1] ?? new Uint8Array()))).toBe('repeat');
    const after = offer(settled, seal(refusedDraft(settled), first));
    expect(verdictOf(after)).toBe('KEY_ENDED');
    expect(after).not.toHaveProperty('state');
    expect(verdictOf(offer(settled, seal(refusedDraft(settled), second)))).toBe('placed');
  });

  it('never has more than two: a third ends the first', () => {
    const thrice = append(rotated, seal(announcement(rotated, third), third));
    expect(currentIds(thrice)).toEqual([third.keyid, second.keyid]);
    expect(verdictOf(offer(thrice, seal(refusedDraft(thrice), first)))).toBe('KEY_ENDED');
  });

  it('still knows the old key at the old positions', () => {
    expect(verdictOf(offer(rotated, start.envelopes[1] ?? new Uint8Array()))).toBe('repeat');
  });

  it('never brings a key back', () => {
    expect(verdictOf(offer(rotated, seal(announcement(rotated, first), second)))).toBe('KEY_REUSED');
    expect(verdictOf(offer(settled, seal(announcement(settled, first), first)))).toBe('KEY_ENDED');
  });

  it('wants the new key to sign for itself', () => {
    const placed = offer(rotated, seal(announcement(rotated, third), second));
    expect(verdictOf(placed)).toBe('KEY_NOT_SELF_SIGNED');
    expect(placed).toMatchObject({ state: { keys: rotated.state.keys } });
  });
});

describe('revocation', () => {
  const revoke = (keyid = first.keyid, lastSeq = 3) => revocation(start, keyid, seqOf(lastSeq));

  it('ends a key at its own position, and the publisher goes on with a new one', () => {
    const ended = append(start, seal(revoke(), first));
    expect(ended.state.keys).toMatchObject([{ to: '3', revoked: { at: '3', lastSeq: '3' } }]);
    expect(currentIds(ended)).toEqual([]);
    expect(verdictOf(offer(ended, seal(refusedDraft(ended), first)))).toBe('KEY_ENDED');
    const renewed = append(ended, seal(announcement(ended, second), second));
    expect(verdictOf(offer(renewed, seal(refusedDraft(renewed), second)))).toBe('placed');
  });

  it('may name a later last position', () => {
    const ending = append(start, seal(revoke(first.keyid, 4), first));
    expect(currentIds(ending)).toEqual([first.keyid]);
    const last = append(ending, seal(refusedDraft(ending), first));
    expect(currentIds(last)).toEqual([]);
    expect(verdictOf(offer(last, seal(refusedDraft(last), first)))).toBe('KEY_ENDED');
  });

  it('does not unplace what was placed: an earlier last position is kept for auditors', () => {
    const ended = append(rotated, seal(revocation(rotated, first.keyid, seqOf(1)), second));
    expect(ended.state.keys[0]).toMatchObject({ to: '4', revoked: { at: '4', lastSeq: '1' } });
    expect(currentIds(ended)).toEqual([second.keyid]);
  });

  it('is void for a key that nobody announced', () => {
    expect(verdictOf(offer(start, seal(revoke(third.keyid), first)))).toBe('KEY_UNKNOWN');
  });

  it('is the X.509 identity’s word: the event key alone cannot revoke', () => {
    const forged = revocation(start, first.keyid, seqOf(3), { lastSeq: '9' });
    expect(verdictOf(offer(start, seal(forged, first)))).toBe('KEY_STATEMENT_FORGED');
  });
});
