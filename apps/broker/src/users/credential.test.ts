import { timestamp } from '@carnet/events';
import { describe, expect, it } from 'vitest';
import { type Credential, credential, stillGood, tokenEnding } from './credential.ts';

const NOW = timestamp.parse('2026-11-23T10:00:00.000Z');
const ANNA = 'spiffe://csp-a.example/operator/anna';
/** One certificate is valid, one API key active. */
const isGood = stillGood({
  identify: (leaf) => (leaf === 'AAAA' ? { spiffeId: ANNA } : undefined),
  isActive: async (id) => id === 'active',
  now: () => NOW,
});

describe('what was shown', () => {
  it.each<readonly [string, Credential, boolean]>([
    ['a valid certificate', { kind: 'certificate', leaf: 'AAAA' }, true],
    ['one that has ended or was revoked', { kind: 'certificate', leaf: 'BBBB' }, false],
    ['an active API key', { kind: 'api-key', id: 'active' }, true],
    ['one that has ended or was revoked', { kind: 'api-key', id: 'revoked' }, false],
    ['a token before its end', tokenEnding(Date.parse(NOW) + 1), true],
    ['at its end', tokenEnding(Date.parse(NOW)), false],
    ['a token without a time', tokenEnding(Number.NaN), false],
    ['a token that ends beyond all times', tokenEnding(1e300), true],
  ])('%s is still good: %#', async (_, shown, good) => {
    expect(await isGood(ANNA, shown)).toBe(good);
    expect(credential.parse(JSON.parse(JSON.stringify(shown)))).toEqual(shown);
  });

  it('is of nobody else', async () => {
    expect(await isGood('spiffe://csp-a.example/operator/bob', { kind: 'certificate', leaf: 'AAAA' })).toBe(false);
  });
});
