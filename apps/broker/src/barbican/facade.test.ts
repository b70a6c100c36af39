import { artifactId, keyId, timestamp } from '@carnet/events';
import { type KeyRecord, tenant } from '@carnet/keys';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { A, createDoorsWorld, type DoorsWorld, type Reply } from '../http/testing/doors-world.ts';
import { fakeService } from '../http/testing/fake-service.ts';
import { SHOWN } from '../users/testing/shown.ts';
import type { ByToken } from '../users/users.ts';
import * as s from './schemas.ts';
import { openSecretReader } from './secrets.ts';

const [SHOP, BANK] = [tenant.parse('default'), tenant.parse('bank')];
const VM = 'csp-a.example/11111111-1111-4111-8111-111111111111';
const at = timestamp.parse('2026-11-23T12:00:00.000Z');
const record = (n: number, of: typeof BANK, more: Partial<KeyRecord> = {}): KeyRecord => ({
  key: keyId.parse(`22222222-2222-4222-8222-${String(n).padStart(12, '0')}`),
  version: 1,
  arrival: 0,
  tenant: of,
  artifact: artifactId.parse('33333333-3333-4333-8333-333333333333'),
  kind: 'disk',
  derivation: 'luks-passphrase-hex',
  capacityBytes: 1,
  state: 'active',
  origin: 'generated',
  createdAt: at,
  changedAt: at,
  ...more,
});
const OURS = [record(1, SHOP), record(2, SHOP, { state: 'suspended' }), record(3, SHOP, { state: 'pre-activation' })];
const THEIRS = record(4, BANK);

const secrets = openSecretReader(
  {
    pageOfTenant: async ({ tenant: of, key, offset, limit }) => {
      const all = [...OURS, THEIRS].filter((one) => one.tenant === of && (key === undefined || one.key === key));
      return { keys: all.slice(offset, offset + limit), total: all.length };
    },
    consumersOf: async (keys) => new Map(keys.map((key) => [key, [`vm:${VM}`]])),
    consumersSince: async () => [{ consumer: `vm:${VM}`, since: at }],
  },
  A,
);

let world: DoorsWorld;
let ports: { readonly mtls: number; readonly token: number };
let bound: { readonly mtls: number; readonly token: number };
const callerOf: ByToken = async () => ({ principal: 'viewer', via: 'token', credential: SHOWN, project: BANK });
beforeAll(async () => {
  world = await createDoorsWorld();
  ports = await world.open(fakeService().service, undefined, secrets);
  bound = await world.open(fakeService().service, callerOf, secrets);
}, 60_000);
afterAll(() => world.close());

const NEWEST = { 'openstack-api-version': 'key-manager 1.1' };
const ask = (path: string, headers: Readonly<Record<string, string>> = {}, method = 'GET', role = 'viewer'): Promise<Reply> =>
  world.ask(ports.token, { token: world.tokenOf(role) }, { path, method, headers: { 'x-project-id': 'default', ...headers } });
const fault = (code: number, title: string, text: string) => ({
  status: code,
  body: { code, title, description: expect.stringContaining(text) },
});
const first = `/v1/secrets/${OURS[0]?.key}`;

describe('keys as secrets', () => {
  it('are listed page by page, with the addresses of the next and the last page', async () => {
    const { status, body } = await ask('/v1/secrets?limit=1&offset=1');
    const page = s.secretPage.parse(body);
    const base = `https://127.0.0.1:${ports.token}/v1/secrets`;
    expect(status).toBe(200);
    expect(page).toMatchObject({ total: 3, next: `${base}?limit=1&offset=2`, previous: `${base}?limit=1&offset=0` });
    expect(page.secrets).toMatchObject([{ secret_ref: `${base}/${OURS[1]?.key}`, status: 'ERROR' }]);
    expect((await ask('/v1/secrets?limit=0')).body).toMatchObject({ total: 3, secrets: [{}] });
    expect((await ask('/v1/secrets?offset=9')).body).toEqual({ total: 3, secrets: [] });
  });

  it('have three states, and a payload is named where one lies', async () => {
    const page = s.secretPage.parse((await ask('/v1/secrets')).body);
    expect(page.secrets.map(({ status, content_types }) => [status, content_types?.default])).toEqual([
      ['ACTIVE', 'application/octet-stream'],
      ['ERROR', 'application/octet-stream'],
      ['PENDING', undefined],
    ]);
  });

  it.each([
    ['name', `carnet:csp-a.example:${OURS[0]?.key}:v1:e0`, 1],
    ['name', `carnet:csp-a.example:${OURS[0]?.key}:v1:e9`, 0],
    ['name', `carnet:csp-a.example:${THEIRS.key}:v1:e0`, 0],
    ['name', 'anything', 0],
    ['alg', 'aes', 3],
    ['alg', 'rsa', 0],
    ['bits', '256', 3],
    ['bits', '128', 0],
    ['mode', 'cbc', 0],
    ['secret_type', 'symmetric', 3],
    ['secret_type', 'opaque', 0],
  ])('filtered by %s=%s are %i', async (name, value, total) => {
    expect((await ask(`/v1/secrets?${name}=${encodeURIComponent(value)}`)).body).toMatchObject({ total });
  });

  it('tell their consumers from microversion 1.1 on', async () => {
    const consumer = { service: 'carnet', resource_type: 'vm', resource_id: VM.split('/')[1] };
    expect((await ask(first)).body).not.toHaveProperty('consumers');
    expect((await ask(first, NEWEST)).body).toMatchObject({ consumers: [consumer] });
    const page = s.consumerPage.parse((await ask(`${first}/consumers`, NEWEST)).body);
    expect(page).toEqual({
      total: 1,
      consumers: [{ ...consumer, status: 'ACTIVE', created: '2026-11-23T12:00:00.000', updated: '2026-11-23T12:00:00.000' }],
    });
  });

  it('say in their metadata what Barbican would be told of them', async () => {
    expect(s.metadata.parse((await ask(`${first}/metadata`)).body).metadata).toMatchObject({
      'carnet-key': OURS[0]?.key,
      'carnet-state': 'active',
      'carnet-tenant': 'default',
    });
  });
});

describe('nothing secret', () => {
  it('has a place in what is answered', async () => {
    for (const path of ['/v1/secrets', first, `${first}/metadata`, `${first}/consumers`])
      expect(JSON.stringify((await ask(path, NEWEST)).body)).not.toMatch(/kcv|check|wrapped|payload"|kek/i);
  });

  it.each([
    [`${first}/payload`, {}, 403, 'Forbidden', 'PAYLOAD_WITHHELD'],
    [`${first}/payload`, { accept: 'application/octet-stream' }, 403, 'Forbidden', 'PAYLOAD_WITHHELD'],
    [first, { accept: 'application/octet-stream' }, 406, 'Not Acceptable', 'ACCEPT_UNSUPPORTED'],
    [first, { accept: 'text/plain;q=1, application/jsonx' }, 406, 'Not Acceptable', 'ACCEPT_UNSUPPORTED'],
  ])('is given out: %s %j', async (path, headers, code, title, text) => {
    expect(await ask(path, headers, 'GET', 'administrator')).toEqual(fault(code, title, text));
  });
});

describe('is refused in the shape that the client reads', () => {
  it.each([
    ['POST', '/v1/secrets/', 405, 'READ_ONLY'],
    ['PUT', first, 405, 'READ_ONLY'],
    ['DELETE', first, 405, 'READ_ONLY'],
    ['POST', `${first}/consumers/`, 405, 'READ_ONLY'],
    ['DELETE', `${first}/consumers`, 405, 'READ_ONLY'],
    ['GET', `${first}/acl`, 404, 'ROUTE_UNKNOWN'],
    ['GET', '/v1/containers', 404, 'ROUTE_UNKNOWN'],
    ['POST', '/v1/orders/', 404, 'ROUTE_UNKNOWN'],
    ['GET', '/v1/secrets/nonsense', 404, 'KEY_UNKNOWN'],
    ['GET', `/v1/secrets/${THEIRS.key}`, 404, 'KEY_UNKNOWN'],
    ['GET', `/v1/secrets/${THEIRS.key}/payload`, 404, 'KEY_UNKNOWN'],
    ['GET', `/v1/secrets/${THEIRS.key}/metadata`, 404, 'KEY_UNKNOWN'],
    ['GET', `/v1/secrets/${THEIRS.key}/consumers`, 404, 'KEY_UNKNOWN'],
    ['GET', '/v1/secrets?sort=name', 400, 'PARAMETER_INVALID'],
    ['GET', '/v1/secrets?offset=-1', 400, 'PARAMETER_INVALID'],
  ])('%s %s', async (method, path, code, text) => {
    const reply = await ask(path, {}, method);
    expect(reply).toMatchObject({ status: code, body: { code, description: expect.stringContaining(text) } });
    expect(s.fault.parse(reply.body)).toEqual(reply.body);
  });

  it('what nobody may ask: no token, no role, no project, an unknown version', async () => {
    expect(await world.ask(ports.token, {}, { path: first })).toEqual(fault(401, 'Unauthorized', 'CALLER_UNKNOWN'));
    expect(await world.ask(ports.token, {}, { path: '/v1/orders' })).toEqual(fault(401, 'Unauthorized', 'CALLER_UNKNOWN'));
    const stranger = await world.certificateOf(A, 'agent-host-1');
    expect(await world.ask(ports.mtls, stranger, { path: first })).toEqual(fault(403, 'Forbidden', 'ROLE_MISSING'));
    expect(await ask(first, { 'x-project-id': '../bank' })).toEqual(fault(400, 'Bad Request', 'X-Project-Id'));
    expect(await ask(first, { 'openstack-api-version': 'key-manager 2.0' })).toEqual(
      fault(406, 'Not Acceptable', 'MICROVERSION'),
    );
  });

  it('does not read the payload that somebody would store', async () => {
    const body = JSON.stringify({ payload: 'x'.repeat(300_000) });
    const asked = { method: 'POST', path: '/v1/secrets/', body, headers: { 'x-project-id': 'default' } };
    expect(await world.ask(ports.token, { token: world.tokenOf('viewer') }, asked)).toMatchObject({ status: 405 });
  });
});

describe('a credential of one project', () => {
  it('sees that project, whatever its header says', async () => {
    const there = (path: string) => world.ask(bound.token, {}, { path, headers: { 'x-project-id': 'default' } });
    expect((await there('/v1/secrets')).body).toMatchObject({
      total: 1,
      secrets: [{ secret_ref: expect.stringContaining(THEIRS.key) }],
    });
    expect(await there(first)).toMatchObject({ status: 404 });
  });

  it("sees nothing of Carnet's own API, which shows all projects at once", async () => {
    for (const path of ['/v1/keys', '/v1/vms', '/v1/migrations', '/v1/events'])
      expect(await world.ask(bound.token, {}, { path })).toMatchObject({ status: 403, body: { code: 'PROJECT_LIMITED' } });
    for (const path of ['/v1/follow', '/v1/export'])
      expect(await world.ask(bound.token, {}, { path })).toMatchObject({ status: 403 });
  });
});

describe('versions', () => {
  it.each([
    ['/', {}, 300, s.versions],
    ['/', NEWEST, 300, s.versions],
    ['/v1', {}, 200, s.version],
    ['/v1/', NEWEST, 200, s.version],
  ])('%s %j is for everyone', async (path, headers, status, schema) => {
    const reply = await world.ask(ports.token, {}, { path, headers });
    expect(reply.status).toBe(status);
    expect(schema.parse(reply.body)).toEqual(reply.body);
  });
});
