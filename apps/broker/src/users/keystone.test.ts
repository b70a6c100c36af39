import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, type IncomingMessage, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pino } from 'pino';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { type KeystoneUsers, openKeystoneUsers } from './keystone.ts';
import { keystoneConfig } from './keystone-config.ts';
import { KEYSTONE_QUESTIONS_MAX, KEYSTONE_QUESTIONS_OF_ONE_MAX, KEYSTONE_REST_MS, KEYSTONE_WORD_MS } from './limits.ts';

// What Keystone may do wrong, scripted; the real one is in test/faults/openstack.test.ts.

const SHOP = 'a'.repeat(32);
const OPS = 'b'.repeat(32);
const USER = 'c'.repeat(32);
const TOKEN = 'gAAAA-the-token-of-a-user';
const HERE = '127.0.0.1';
const log = pino({ level: 'silent' });

interface Answer {
  readonly status: number;
  readonly body?: unknown;
  readonly hold?: Promise<unknown>;
}
let dir: string;
let server: Server;
let url: string;
let nowMs = Date.parse('2026-11-23T10:00:00.000Z');
let login: () => Answer;
let judge: (request: IncomingMessage) => Answer;
let asked: { issued: number; judged: number };
let users: KeystoneUsers;

const said = (token: object): Answer => ({ status: 200, body: { token } });
const good = (more: object = {}) =>
  said({
    user: { id: USER, name: 'eve' },
    project: { id: SHOP, name: 'shop' },
    roles: [{ id: 'r', name: 'reader' }],
    expires_at: '2026-11-23T11:00:00.000000Z',
    ...more,
  });
const configText = (secretFile: string) => ({
  url,
  credentialId: 'own',
  credentialSecretFile: secretFile,
  roles: { reader: ['viewer'], member: ['viewer', 'scheduler'], admin: ['operator'] },
  projects: { [SHOP]: 'shop', [OPS]: '*' },
});
const open = (): KeystoneUsers => openKeystoneUsers(keystoneConfig.parse(configText(join(dir, 'secret'))), log, () => nowMs);

beforeAll(async () => {
  dir = mkdtempSync(join(tmpdir(), 'carnet-keystone-'));
  writeFileSync(join(dir, 'secret'), 'a secret of some length', { mode: 0o600 });
  server = createServer(async (request, reply) => {
    const issuing = request.method === 'POST';
    asked = issuing ? { ...asked, issued: asked.issued + 1 } : { ...asked, judged: asked.judged + 1 };
    const { status, body, hold } = issuing ? login() : judge(request);
    await hold;
    reply
      .writeHead(status, { 'content-type': 'application/json', 'x-subject-token': `own-${asked.issued}`, connection: 'close' })
      .end(JSON.stringify(body ?? {}));
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
});
afterAll(() => {
  server.close();
  rmSync(dir, { recursive: true });
});
beforeEach(() => {
  asked = { issued: 0, judged: 0 };
  login = () => ({ status: 201, body: { token: { project: { id: 'p' }, user: { id: 'u' } } } });
  judge = () => good();
  users = open();
});

describe('a token of a Keystone user', () => {
  it('is of a principal that names project and user, with mapped roles, in the mapped project', async () => {
    expect(await users.authenticate(TOKEN, HERE)).toEqual({
      principal: `keystone/${SHOP}/${USER}`,
      via: 'token',
      credential: { kind: 'token', endsAt: expect.stringMatching(/Z$/) },
      onlyRoles: ['viewer'],
      project: 'shop',
    });
  });

  it('of a project that is mapped to the whole CSP is bound to none', async () => {
    judge = () => good({ project: { id: OPS }, roles: [{ name: 'member' }, { name: 'reader' }, { name: 'unheard-of' }] });
    expect(await users.authenticate(TOKEN, HERE)).toEqual({
      principal: `keystone/${OPS}/${USER}`,
      via: 'token',
      credential: { kind: 'token', endsAt: expect.stringMatching(/Z$/) },
      onlyRoles: ['viewer', 'scheduler'],
    });
  });

  it.each([['toString'], ['__proto__'], ['heat_stack_owner']])('with the role %s may nothing', async (name) => {
    judge = () => good({ roles: [{ name }] });
    expect(await users.authenticate(TOKEN, HERE)).toMatchObject({ onlyRoles: [] });
  });

  it('is asked about once in a while, and by all who wait together', async () => {
    await Promise.all([users.authenticate(TOKEN, HERE), users.authenticate(TOKEN, HERE)]);
    nowMs += KEYSTONE_WORD_MS - 1;
    await users.authenticate(TOKEN, HERE);
    expect(asked).toEqual({ issued: 1, judged: 1 });
    judge = () => ({ status: 404 });
    nowMs += 1;
    expect(await users.authenticate(TOKEN, HERE)).toMatchObject({ ok: false, code: 'TOKEN_REFUSED' });
    expect(asked.judged).toBe(2);
  });

  it('that ends sooner is asked about again when it has ended', async () => {
    judge = () => good({ expires_at: new Date(nowMs + 1_000).toISOString() });
    await users.authenticate(TOKEN, HERE);
    nowMs += 1_000;
    await users.authenticate(TOKEN, HERE);
    expect(asked.judged).toBe(2);
  });

  it('goes to Keystone under our own token, which is replaced when it has ended', async () => {
    judge = ({ headers }) => {
      expect(headers['x-subject-token']).toBe(TOKEN);
      return headers['x-auth-token'] === 'own-1' ? { status: 401 } : good();
    };
    expect(await users.authenticate(TOKEN, HERE)).toMatchObject({ project: 'shop' });
    expect(asked).toEqual({ issued: 2, judged: 2 });
  });
});

describe('is refused', () => {
  it.each<[string, () => Answer, string]>([
    ['a token that Keystone does not know', () => ({ status: 404 }), 'TOKEN_REFUSED'],
    ['a token of no project', () => good({ project: undefined }), 'TOKEN_REFUSED'],
    ['a token of another project', () => good({ project: { id: 'd'.repeat(32) } }), 'PROJECT_UNMAPPED'],
    ["a project by a name of Object's", () => good({ project: { id: 'constructor' } }), 'PROJECT_UNMAPPED'],
    ['a user whose id would be a path', () => good({ user: { id: `../${OPS}/x` } }), 'KEYSTONE_ANSWER_INVALID'],
    ['an answer without an end', () => good({ expires_at: undefined }), 'KEYSTONE_ANSWER_INVALID'],
    ['a Keystone that fails', () => ({ status: 500 }), 'KEYSTONE_UNAVAILABLE'],
    ['a Keystone that has enough', () => ({ status: 429 }), 'KEYSTONE_UNAVAILABLE'],
    ['a redirect', () => ({ status: 302 }), 'KEYSTONE_REFUSED'],
    ['a credential without the right to judge', () => ({ status: 403 }), 'KEYSTONE_REFUSED'],
    ['a token of ours that is never good', () => ({ status: 401 }), 'KEYSTONE_REFUSED'],
  ])('%s', async (_, answer, code) => {
    judge = answer;
    expect(await users.authenticate(TOKEN, HERE)).toMatchObject({ ok: false, code });
  });

  it.each<[string, () => Answer, string]>([
    ['our credential', () => ({ status: 401 }), 'KEYSTONE_REFUSED'],
    ['everything', () => ({ status: 503 }), 'KEYSTONE_UNAVAILABLE'],
    ['to make sense', () => ({ status: 201 }), 'KEYSTONE_ANSWER_INVALID'],
  ])('when Keystone refuses %s, nobody is judged', async (_, answer, code) => {
    login = answer;
    expect(await users.authenticate(TOKEN, HERE)).toMatchObject({ ok: false, code });
    expect(asked.judged).toBe(0);
  });

  it('a credential that others may read', async () => {
    const file = join(dir, 'open');
    writeFileSync(file, 'a secret of some length', { mode: 0o644 });
    const loose = openKeystoneUsers(keystoneConfig.parse(configText(file)), log, () => nowMs);
    expect(await loose.authenticate(TOKEN, HERE)).toMatchObject({ ok: false, code: 'KEYSTONE_REFUSED' });
    expect(asked).toEqual({ issued: 0, judged: 0 });
  });

  it('everybody for a while after a failure, whoever is known already excepted; then Keystone is asked again', async () => {
    await users.authenticate(TOKEN, HERE);
    judge = () => ({ status: 500 });
    await users.authenticate('another-token-of-somebody', HERE);
    judge = () => good();
    expect(await users.authenticate('a-third-token-of-somebody', HERE)).toMatchObject({ code: 'KEYSTONE_UNAVAILABLE' });
    expect(await users.authenticate(TOKEN, HERE)).toMatchObject({ project: 'shop' });
    expect(asked.judged).toBe(2);
    nowMs += KEYSTONE_REST_MS;
    expect(await users.authenticate('a-third-token-of-somebody', HERE)).toMatchObject({ project: 'shop' });
  });

  it('one question more than are asked at once', async () => {
    const held = Promise.withResolvers<undefined>();
    judge = () => ({ ...good(), hold: held.promise });
    const waiting = Array.from({ length: KEYSTONE_QUESTIONS_MAX }, (_, i) => users.authenticate(`${TOKEN}-${i}`, `10.0.0.${i}`));
    expect(await users.authenticate(TOKEN, HERE)).toMatchObject({ code: 'KEYSTONE_UNAVAILABLE' });
    held.resolve(undefined);
    for (const word of await Promise.all(waiting)) expect(word).toMatchObject({ project: 'shop' });
  });
});

describe('one user’s token is nobody else’s trouble', () => {
  it.each<[string, () => Answer, string]>([
    ['is no request to Keystone', () => ({ status: 400 }), 'TOKEN_REFUSED'],
    ['is too large for it', () => ({ status: 431 }), 'TOKEN_REFUSED'],
    ['brings an answer that is none', () => ({ status: 200, body: { token: 'x' } }), 'KEYSTONE_ANSWER_INVALID'],
    ['is of a user whose id would be a path', () => good({ user: { id: '../x' } }), 'KEYSTONE_ANSWER_INVALID'],
  ])('one that %s rests nobody', async (_, answer, code) => {
    judge = answer;
    expect(await users.authenticate('a-token-that-is-odd', HERE)).toMatchObject({ ok: false, code });
    judge = () => good();
    expect(await users.authenticate(TOKEN, HERE)).toMatchObject({ project: 'shop' });
  });

  it.each([
    ['x'.repeat(2_049)],
    ['short'],
    ['sixteen-with a space'],
    ['sixteen-with-\u00e4-umlaut'],
  ])('Keystone is not asked about %j', async (token) => {
    expect(await users.authenticate(token, HERE)).toMatchObject({ ok: false, code: 'TOKEN_REFUSED' });
    expect(asked).toEqual({ issued: 0, judged: 0 });
  });

  it('an address that asks about many at once waits alone', async () => {
    const held = Promise.withResolvers<undefined>();
    judge = () => ({ ...good(), hold: held.promise });
    const waiting = Array.from({ length: KEYSTONE_QUESTIONS_OF_ONE_MAX }, (_, i) => users.authenticate(`${TOKEN}-${i}`, HERE));
    expect(await users.authenticate(TOKEN, HERE)).toMatchObject({ code: 'KEYSTONE_UNAVAILABLE' });
    const elsewhere = users.authenticate(TOKEN, '10.0.0.1');
    held.resolve(undefined);
    for (const word of await Promise.all([elsewhere, ...waiting])) expect(word).toMatchObject({ project: 'shop' });
    expect(await users.authenticate(`${TOKEN}-again`, HERE)).toMatchObject({ project: 'shop' });
  });
});

it.each([
  [{ url: 'http://keystone.example' }],
  [{ roles: { admin: ['administrator'] } }],
  [{ projects: { '../x': 'shop' } }],
  [{ projects: { [SHOP]: 'Shop/..' } }],
])('a configuration with %j is refused', (change) => {
  expect(keystoneConfig.safeParse({ ...configText('/x'), ...change }).success).toBe(false);
});
