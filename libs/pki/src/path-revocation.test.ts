import { describe, expect, it } from 'vitest';
import type { Authority } from './authority.ts';
import { createCrl } from './build-crl.ts';
import { validatePath } from './path.ts';
import { certify, createWorld, crlOf, HOUR_MS, NOW, NOW_MS, timeAt } from './testing/chains.ts';
import { compareWithOpenSsl, OK, questionOf, serialOf } from './testing/oracle.ts';

const world = await createWorld();
const { root, a, b, leafKeys: keys } = world;
const crls = [crlOf(root), crlOf(a), crlOf(b)];
const leaf = certify({ issuer: a, keys });
const other = certify({ issuer: a, keys });

const revoke = (der: Uint8Array, reason: 'keyCompromise' | 'superseded' | 'unspecified' = 'keyCompromise') =>
  ({ serial: serialOf(der), atMs: NOW_MS - HOUR_MS, reason }) as const;
/** The list of A, from and to hours from now. */
const during = (from: number, to: number) =>
  createCrl(a, { number: 2, thisUpdateMs: NOW_MS + from * HOUR_MS, nextUpdateMs: NOW_MS + to * HOUR_MS, revoked: [] });
const withA = (...lists: readonly Uint8Array[]) => ({ leaf, crls: [crlOf(root), ...lists] });
const forgedA: Authority = { ...a, keys: world.otherKeys };
const none = /unable to get certificate CRL/;

describe('revocation, beside openssl verify', () => {
  compareWithOpenSsl(world, crls, [
    ['no CRL at all', { leaf, crls: [] }, 'CRL_MISSING', none],
    ['no CRL of the root', { leaf, crls: [crlOf(a)] }, 'CRL_MISSING', none],
    ['a CRL of the other CSP only', withA(crlOf(b)), 'CRL_MISSING', none],
    ['a stale CRL', withA(during(-2, -1)), 'CRL_STALE', /CRL has expired/],
    ['a CRL in its last second', withA(during(-2, 0)), 'CRL_STALE', /CRL has expired/],
    ['a CRL of tomorrow', withA(during(1, 2)), 'CRL_NOT_YET_VALID', /CRL is not yet valid/],
    [
      'a CRL by another key',
      withA(crlOf(forgedA)),
      'CRL_SIGNATURE_INVALID',
      /CRL signature failure|unable to get (certificate CRL|CRL issuer)/,
    ],
    ['a revoked leaf', withA(crlOf(a, [revoke(leaf)])), 'REVOKED', /certificate revoked/],
    ['a superseded leaf', withA(crlOf(a, [revoke(leaf, 'superseded')])), 'REVOKED', /certificate revoked/],
    [
      'a leaf revoked without reason',
      withA(crlOf(a, [revoke(other), revoke(leaf, 'unspecified')])),
      'REVOKED',
      /certificate revoked/,
    ],
    ['another revoked leaf', withA(crlOf(a, [revoke(other)])), 'ok', OK],
    [
      'a revoked intermediate',
      { leaf, crls: [crlOf(root, [revoke(a.certificate)]), crlOf(a)] },
      'REVOKED',
      /certificate revoked/,
    ],
    [
      'a forged CRL beside a good one',
      withA(crlOf(a), crlOf(forgedA, [], 9)),
      'CRL_SIGNATURE_INVALID',
      /./,
      'somebody wrote into the folder of CRLs',
    ],
    [
      'an older CRL that does not know',
      withA(crlOf(a, [revoke(leaf)], 2), crlOf(a, [], 1)),
      'REVOKED',
      /./,
      'the higher number counts; OpenSSL has no rule',
    ],
  ]);
});

describe('revocation in the past', () => {
  const codeOf = (times: object) => {
    const result = validatePath({ ...questionOf(world, crls, withA(crlOf(a, [revoke(leaf)]))), ...times });
    return result.ok ? 'ok' : result.code;
  };
  const before = timeAt(NOW_MS - 2 * HOUR_MS);

  it('is revocation for a broker, whenever the certificate was used', () => {
    expect(codeOf({ at: before, now: NOW })).toBe('REVOKED');
  });

  it('lets an auditor accept what was good then', () => {
    expect(codeOf({ at: before, now: NOW, ignoreRevokedAfter: before })).toBe('ok');
    expect(codeOf({ ignoreRevokedAfter: NOW })).toBe('REVOKED');
  });

  it('offline, a list of any age revokes; none at all is still none', () => {
    const offline = (more: object) => codeOf({ at: before, crlAge: 'not judged', ...more });
    expect(offline({ now: timeAt(NOW_MS + 48 * HOUR_MS) })).toBe('REVOKED');
    expect(offline({ now: timeAt(NOW_MS + 48 * HOUR_MS), ignoreRevokedAfter: before })).toBe('ok');
    expect(offline({ now: timeAt(NOW_MS - 48 * HOUR_MS), ignoreRevokedAfter: before })).toBe('ok');
    expect(offline({ crls: [] })).toBe('CRL_MISSING');
  });

  it('is judged by lists that are fresh by our own clock', () => {
    expect(codeOf({ at: before, now: timeAt(NOW_MS + 48 * HOUR_MS) })).toBe('CRL_STALE');
  });
});
