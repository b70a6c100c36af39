import { randomBytes } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { tenant } from '@carnet/keys';
import { runChanges, type Store } from '@carnet/store';
import { sql } from 'kysely';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { openEmptyStore } from '../../../../libs/store/src/testing.ts';
import { type ApiKeys, apiKeyRequest, isApiKey, type NewApiKey, openApiKeys, usersChanges } from './api-keys.ts';
import { API_KEY_DAYS_MAX, API_KEY_USE_NOTED_MS } from './limits.ts';

const ADMIN = 'spiffe://csp-a.example/administrator';
const DAY_MS = 86_400_000;
const dir = mkdtempSync(join(tmpdir(), 'carnet-users-'));
let store: Store;
let nowMs = Date.parse('2030-01-01T00:00:00.000Z');
let keys: ApiKeys;

beforeAll(async () => {
  store = await openEmptyStore(join(dir, 'db'));
  await runChanges(store, usersChanges);
  keys = openApiKeys(store, () => nowMs, randomBytes);
}, 60_000);
afterAll(async () => {
  await store.close();
  rmSync(dir, { recursive: true });
});
beforeEach(() => sql`delete from users_api_keys`.execute(store.db));

async function made(name = 'nightly', days = 90): Promise<NewApiKey> {
  const result = await keys.create({ name, roles: ['scheduler', 'scheduler', 'viewer'], days }, ADMIN);
  if (!result.ok) throw new Error(result.code);
  return result.value;
}
const rowsOf = async (): Promise<string> => JSON.stringify((await sql`select * from users_api_keys`.execute(store.db)).rows);

describe('an API key', () => {
  it('is good for its principal and its roles only, and lies nowhere in the database', async () => {
    const { apiKey, id } = await made();
    expect(isApiKey(apiKey)).toBe(true);
    expect(await keys.authenticate(apiKey)).toEqual({
      principal: 'api-key/nightly',
      via: 'token',
      credential: { kind: 'api-key', id },
      onlyRoles: ['scheduler', 'viewer'],
    });
    expect(await rowsOf()).not.toContain(apiKey);
    expect(await rowsOf()).not.toContain(apiKey.slice(-43));
  });

  it('ends when its days are over, and when it is revoked: then its name is free', async () => {
    const { apiKey } = await made('short', 1);
    nowMs += DAY_MS - 1;
    expect(await keys.authenticate(apiKey)).toMatchObject({ principal: 'api-key/short' });
    nowMs += 1;
    expect(await keys.authenticate(apiKey)).toMatchObject({ ok: false, code: 'TOKEN_EXPIRED' });

    const second = await made('short');
    expect(await Promise.all([second.id, '0123456789abcdef'].map(keys.isActive))).toEqual([true, false]);
    expect(await keys.revoke(second.id, ADMIN)).toMatchObject({ ok: true, value: { state: 'revoked', revokedBy: ADMIN } });
    expect(await keys.authenticate(second.apiKey)).toMatchObject({ ok: false, code: 'TOKEN_EXPIRED' });
    expect(await keys.isActive(second.id)).toBe(false);
    expect(await keys.authenticate((await made('short')).apiKey)).toMatchObject({ principal: 'api-key/short' });
    expect((await keys.list()).map(({ state }) => state).toSorted()).toEqual(['active', 'expired', 'revoked']);
  });

  it('revoked twice was revoked once', async () => {
    const { id } = await made();
    await keys.revoke(id, ADMIN);
    const before = await rowsOf();
    nowMs += 1_000;
    expect(await keys.revoke(id, 'spiffe://csp-a.example/other')).toMatchObject({ ok: true, value: { revokedBy: ADMIN } });
    expect(await rowsOf()).toBe(before);
  });

  it('notes its use, but not each', async () => {
    const { apiKey } = await made();
    await keys.authenticate(apiKey);
    const first = (await keys.list())[0]?.lastUsedAt;
    nowMs += API_KEY_USE_NOTED_MS - 1;
    await keys.authenticate(apiKey);
    expect((await keys.list())[0]?.lastUsedAt).toBe(first);
    nowMs += 1;
    await keys.authenticate(apiKey);
    expect((await keys.list())[0]?.lastUsedAt).not.toBe(first);
  });
});

describe('an API key of a project', () => {
  it('is for that project only, and says so', async () => {
    const result = await keys.create({ name: 'nova', roles: ['viewer'], days: 1, project: tenant.parse('shop') }, ADMIN);
    if (!result.ok) throw new Error(result.code);
    expect(result.value).toMatchObject({ project: 'shop' });
    expect(await keys.authenticate(result.value.apiKey)).toMatchObject({ principal: 'api-key/nova', project: 'shop' });
    expect(await keys.list()).toMatchObject([{ project: 'shop' }]);
    expect(await keys.authenticate((await made()).apiKey)).not.toHaveProperty('project');
  });
});

describe('is refused, and nothing changes', () => {
  it.each([
    ['another secret under a known id', ({ id }: NewApiKey) => `carnet_${id}_${'A'.repeat(43)}`],
    ['an unknown id', () => `carnet_${'0'.repeat(16)}_${'A'.repeat(43)}`],
  ])('%s', async (_, forge) => {
    const key = await made();
    const before = await rowsOf();
    expect(await keys.authenticate(forge(key))).toMatchObject({ ok: false, code: 'TOKEN_REFUSED' });
    expect(await rowsOf()).toBe(before);
  });

  it('a name that an active key has; a key that nobody knows', async () => {
    await made();
    const before = await rowsOf();
    expect(await keys.create({ name: 'nightly', roles: ['viewer'], days: 1 }, ADMIN)).toMatchObject({ code: 'API_KEY_EXISTS' });
    expect(await keys.revoke('f'.repeat(16), ADMIN)).toMatchObject({ code: 'API_KEY_UNKNOWN' });
    expect(await rowsOf()).toBe(before);
  });

  it.each([
    { name: 'nightly', roles: ['administrator'], days: 1 },
    { name: 'nightly', roles: [], days: 1 },
    { name: 'nightly/../x', roles: ['viewer'], days: 1 },
    { name: 'nightly', roles: ['viewer'], days: API_KEY_DAYS_MAX + 1 },
    { name: 'nightly', roles: ['viewer'], days: 1, extra: true },
    { name: 'nightly', roles: ['viewer'], days: 1, project: '../bank' },
  ])('%j', (request) => {
    expect(apiKeyRequest.safeParse(request).success).toBe(false);
  });
});

it('of several that make a key of one name in one moment, one does', async () => {
  const elsewhere = openApiKeys(store, () => nowMs, randomBytes);
  const request = { name: 'raced', roles: ['viewer'] as const, days: 1 };
  const results = await Promise.all([keys, elsewhere, keys, elsewhere].map((one) => one.create(request, ADMIN)));
  expect(results.filter(({ ok }) => ok)).toHaveLength(1);
  for (const result of results) if (!result.ok) expect(result.code).toBe('API_KEY_EXISTS');
  expect((await keys.list()).map(({ name }) => name)).toEqual(['raced']);
});
