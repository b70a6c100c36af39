import { describe, expect, it } from 'vitest';
import type { ApiKeys } from './api-keys.ts';
import { byToken } from './users.ts';

const answer = (via: string) => ({ authenticate: async (token: string) => ({ ok: false as const, code: via, text: token }) });
const apiKeys = answer('api-key') as ApiKeys;
const jwt = (claims: object): string =>
  `${Buffer.from('{"alg":"ES256"}').toString('base64url')}.${Buffer.from(JSON.stringify(claims)).toString('base64url')}.c2ln`;
const API_KEY = `carnet_${'0'.repeat(16)}_${'A'.repeat(43)}`;
const HERE = '127.0.0.1';
const FERNET = `gAAAA${'b'.repeat(180)}==`;

describe('a token is known by its form, in the header of either world', () => {
  const users = byToken(apiKeys, answer('issuer'), answer('keystone'));
  it.each([
    [API_KEY, 'api-key'],
    [jwt({ iss: 'https://idp.example' }), 'issuer'],
    [jwt({ sub: 'u', openstack_methods: ['password'] }), 'keystone'],
    [FERNET, 'keystone'],
  ])('%s', async (token, via) => {
    const said = { code: via, text: token };
    expect(await users({ authorization: `Bearer ${token}` }, HERE)).toMatchObject(said);
    expect(await users({ 'x-auth-token': token }, HERE)).toMatchObject(said);
  });

  it('without a Keystone it is an identity provider that must know it', async () => {
    expect(await byToken(apiKeys, answer('issuer'))({ 'x-auth-token': FERNET }, HERE)).toMatchObject({ code: 'issuer' });
  });

  it.each([
    ['none', {}, 'CALLER_UNKNOWN'],
    ['one that cannot be one', { 'x-auth-token': 'a b'.repeat(20) }, 'CALLER_UNKNOWN'],
    ['two', { authorization: `Bearer ${API_KEY}`, 'x-auth-token': FERNET }, 'TOKEN_REFUSED'],
  ])('%s is refused', async (_, headers, code) => {
    expect(await users(headers, HERE)).toMatchObject({ ok: false, code });
  });
});
