import { once } from 'node:events';
import { connect } from 'node:net';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { SHOWN } from '../users/testing/shown.ts';
import { BODY_BYTES_MAX, PLANS_MAX } from './limits.ts';
import { routes } from './routes.ts';
import { A, B, createDoorsWorld, type DoorsWorld, leafOf, type Reply, ROLES } from './testing/doors-world.ts';
import { ESCROW } from './testing/fake-escrow.ts';
import { DIGEST, type FakeService, fakeService, KEY, MIGRATION, VM } from './testing/fake-service.ts';

let world: DoorsWorld;
let fake: FakeService;
let ports: { readonly mtls: number; readonly token: number };

beforeAll(async () => {
  world = await createDoorsWorld();
  fake = fakeService();
  ports = await world.open(fake.service);
}, 60_000);
afterAll(() => world.close());

const asToken = (principal: string) => ({ token: world.tokenOf(principal) });
const post = (path: string, body: unknown) => ({ method: 'POST', path, body: JSON.stringify(body) });
const ask = (asked: Parameters<DoorsWorld['ask']>[2], role = 'operator'): Promise<Reply> =>
  world.ask(ports.token, asToken(role), asked);

const intent = (data: object = {}) => ({
  specversion: '1.0',
  id: 'one',
  source: 'test',
  type: 'dev.carnet.migration.intent.v1',
  data: { migration: MIGRATION, vm: VM, target: B, mode: 'cold', ...data },
});
const vmCreation = { name: 'one', capacityBytes: 1_048_576, memoryMiB: 64, boot: { kind: 'disk' } };

const SAID = {
  envelope: { payloadType: 'x', payload: 'AAAA', signatures: [{ keyid: DIGEST, sig: 'AAAA' }] },
  certificate: 'AAAA',
};

/** A good request for each route. */
const GOOD: Readonly<Record<string, { readonly path: string; readonly body?: unknown }>> = {
  'POST /v1/intents': { path: '/v1/intents', body: intent() },
  'POST /v1/plans': { path: '/v1/plans', body: intent() },
  'GET /v1/migrations': { path: `/v1/migrations?open=true&limit=5&vm=${encodeURIComponent(VM)}` },
  'GET /v1/migrations/:migration': { path: `/v1/migrations/${MIGRATION}` },
  'GET /v1/migrations/:migration/diagnosis': { path: `/v1/migrations/${MIGRATION}/diagnosis` },
  'GET /v1/checkpoints': { path: '/v1/checkpoints' },
  'GET /v1/alarms': { path: '/v1/alarms' },
  'POST /v1/peers/:peer/event-keys/:key/end': {
    path: `/v1/peers/csp-b.example/event-keys/${'ab'.repeat(32)}/end`,
    body: { lastSeq: '2', text: 'stolen' },
  },
  'POST /v1/migrations/:migration/cancel': { path: `/v1/migrations/${MIGRATION}/cancel`, body: { text: 'because' } },
  'POST /v1/migrations/:migration/break-glass': {
    path: `/v1/migrations/${MIGRATION}/break-glass`,
    body: {
      persons: ['anna', 'ben'].map((name) => ({ principal: `spiffe://${A}/operator/${name}`, ...SAID })),
      owner: SAID.envelope,
    },
  },
  'POST /v1/migrations/:migration/discard-copy': {
    path: `/v1/migrations/${MIGRATION}/discard-copy`,
    body: { text: 'because' },
  },
  'GET /v1/requests': { path: '/v1/requests' },
  'POST /v1/requests/:migration/approve': { path: `/v1/requests/${MIGRATION}/approve`, body: {} },
  'GET /v1/policies': { path: '/v1/policies' },
  'GET /v1/policy': { path: '/v1/policy' },
  'POST /v1/vms/:home/:uuid/restrictions': { path: `/v1/vms/${VM}/restrictions`, body: { level: 2, jurisdictions: null } },
  'GET /v1/custodians': { path: '/v1/custodians' },
  'POST /v1/custodians': { path: '/v1/custodians', body: SAID },
  'GET /v1/escrows': { path: `/v1/escrows?key=${KEY}` },
  'POST /v1/escrows': {
    path: '/v1/escrows',
    body: { key: KEY, threshold: 2, custodians: ['anna', 'ben'].map((name) => `spiffe://${A}/custodian/${name}`), reason: 'why' },
  },
  'GET /v1/escrows/:escrow': { path: `/v1/escrows/${ESCROW}` },
  'POST /v1/escrows/:escrow/drills': {
    path: `/v1/escrows/${ESCROW}/drills`,
    body: { reason: 'why', notAfter: '2026-11-23T12:00:00.000Z' },
  },
  'GET /v1/drills/:drill': { path: `/v1/drills/${ESCROW}` },
  'POST /v1/drills/proofs': { path: '/v1/drills/proofs', body: SAID },
  'POST /v1/drills/:drill/conclude': { path: `/v1/drills/${ESCROW}/conclude`, body: {} },
  'POST /v1/recoveries': { path: '/v1/recoveries', body: SAID },
  'GET /v1/recoveries/:recovery': { path: `/v1/recoveries/${ESCROW}` },
  'POST /v1/recoveries/approvals': { path: '/v1/recoveries/approvals', body: SAID },
  'POST /v1/recoveries/:recovery/recover': { path: `/v1/recoveries/${ESCROW}/recover`, body: {} },
  'GET /v1/events': { path: `/v1/events?migration=${MIGRATION}&limit=2` },
  'GET /v1/events/:digest': { path: `/v1/events/${'1'.padStart(64, '0')}` },
  'GET /v1/keys': { path: '/v1/keys' },
  'GET /v1/keys/:key': { path: `/v1/keys/${KEY}` },
  ...Object.fromEntries(
    ['suspend', 'resume', 'deactivate', 'compromise', 'destroy'].map((verb) => [
      `POST /v1/keys/:key/${verb}`,
      { path: `/v1/keys/${KEY}/${verb}`, body: { reason: 'lost laptop', code: 'key-compromise' } },
    ]),
  ),
  'POST /v1/keys/:key/consumers': { path: `/v1/keys/${KEY}/consumers`, body: { vm: VM } },
  'DELETE /v1/keys/:key/consumers/:home/:uuid': { path: `/v1/keys/${KEY}/consumers/${VM}` },
  'GET /v1/keys/:key/uses': { path: `/v1/keys/${KEY}/uses` },
  'GET /v1/key-uses/verdict': { path: '/v1/key-uses/verdict' },
  'POST /v1/projects/:project/rotations': { path: '/v1/projects/default/rotations', body: { reason: 'yearly' } },
  'GET /v1/peers': { path: '/v1/peers' },
  'GET /v1/peers/:peer/proof': { path: '/v1/peers/csp-b.example/proof' },
  'GET /v1/peers/:peer/agreement': { path: '/v1/peers/csp-b.example/agreement' },
  'POST /v1/peers/:peer/agreement/proposals': {
    path: '/v1/peers/csp-b.example/agreement/proposals',
    body: {
      modes: ['cold'],
      algorithms: ['x25519-ml-kem-768'],
      retentionDays: 365,
      jurisdictions: ['DE'],
      rollbackWindowSecondsMax: 300,
      notBefore: '2026-01-01T00:00:00.000Z',
      notAfter: '2027-01-01T00:00:00.000Z',
    },
  },
  'POST /v1/peers/:peer/agreement/accept': {
    path: '/v1/peers/csp-b.example/agreement/accept',
    body: { proposal: 'ab'.repeat(32) },
  },
  'POST /v1/invitations': { path: '/v1/invitations', body: { domain: 'csp-c.example' } },
  'GET /v1/invitations': { path: '/v1/invitations' },
  'DELETE /v1/invitations/:id': { path: '/v1/invitations/0123456789abcdef' },
  'POST /v1/peerings': { path: '/v1/peerings', body: { invitation: 'carnet-invite-1.a.b' } },
  'GET /v1/peerings': { path: '/v1/peerings' },
  'POST /v1/peerings/:peer/confirm': { path: '/v1/peerings/csp-c.example/confirm', body: { code: '00000' } },
  'DELETE /v1/peerings/:peer': { path: '/v1/peerings/csp-c.example' },
  'GET /v1/certificates': { path: '/v1/certificates' },
  'GET /v1/hosts': { path: '/v1/hosts' },
  'GET /v1/images': { path: '/v1/images' },
  'POST /v1/images': { path: '/v1/images', body: { name: 'tiny', file: 'tiny.raw' } },
  'POST /v1/images/:name/verify': { path: '/v1/images/tiny/verify', body: {} },
  'GET /v1/vms': { path: '/v1/vms' },
  'POST /v1/vms': { path: '/v1/vms', body: vmCreation },
  'POST /v1/vms/:home/:uuid/on': { path: `/v1/vms/${VM}/on`, body: {} },
  'POST /v1/vms/:home/:uuid/off': { path: `/v1/vms/${VM}/off`, body: {} },
  'DELETE /v1/vms/:home/:uuid': { path: `/v1/vms/${VM}` },
  'GET /v1/apikeys': { path: '/v1/apikeys' },
  'POST /v1/apikeys': { path: '/v1/apikeys', body: { name: 'nightly', roles: ['scheduler'], days: 90 } },
  'DELETE /v1/apikeys/:id': { path: `/v1/apikeys/${'ab'.repeat(8)}` },
};

describe('every route', () => {
  it.each(
    routes.map((route) => ({ name: `${route.method} ${route.path}`, route })),
  )('$name: roles, and an answer as its schema has it', async ({ name, route }) => {
    const good = GOOD[name];
    if (good === undefined) throw new Error(`no sample for ${name}`);
    const asked = {
      method: route.method,
      path: good.path,
      ...(good.body === undefined ? {} : { body: JSON.stringify(good.body) }),
    };
    for (const role of ROLES) {
      const { status, body } = await ask(asked, role);
      const may = role === 'administrator' || route.roles.includes(role);
      expect([role, status], JSON.stringify(body)).toEqual([role, may ? 200 : 403]);
      if (may) expect(route.answer.parse(body)).toEqual(body);
      else expect(body).toMatchObject({ code: 'ROLE_MISSING' });
    }
  });

  it('is refused to a caller without any role', async () => {
    const stranger = await world.certificateOf(A, 'agent-host-1');
    expect(await world.ask(ports.mtls, stranger, { path: '/v1/keys' })).toMatchObject({
      status: 403,
      body: { code: 'ROLE_MISSING' },
    });
  });

  it('has its streams behind roles, too', async () => {
    for (const [path, role] of [
      ['/v1/follow', 'none'],
      ['/v1/export', 'viewer'],
      ['/v1/export', 'scheduler'],
    ] as const) {
      const who = role === 'none' ? await world.certificateOf(A, 'agent-host-1') : asToken(role);
      const port = role === 'none' ? ports.mtls : ports.token;
      expect(await world.ask(port, who, { path })).toMatchObject({ status: 403, body: { code: 'ROLE_MISSING' } });
    }
  });
});

describe('the certificate door', () => {
  it('knows its own people by their certificate', async () => {
    fake.calls.length = 0;
    const operator = await world.certificateOf(A, 'operator');
    expect(await world.ask(ports.mtls, operator, post(`/v1/migrations/${MIGRATION}/cancel`, {}))).toEqual({
      status: 200,
      body: { digest: DIGEST },
    });
    expect(fake.calls).toEqual([['cancel', MIGRATION, 'spiffe://csp-a.example/operator', 'cancelled by an operator']]);
  });

  it('takes no bearer token for a certificate', async () => {
    await expect(world.ask(ports.mtls, asToken('operator'), { path: '/v1/keys' })).rejects.toThrow();
  });

  it.each([
    ['no certificate', async () => ({})],
    ["another CSP's certificate", () => world.certificateOf(B, 'operator')],
    ["the bus's certificate", () => world.certificateOf('bus', 'operator')],
  ])('closes on %s before any HTTP', async (_, who) => {
    await expect(world.ask(ports.mtls, await who(), { path: '/v1/keys' })).rejects.toThrow();
  });

  it('closes on a certificate once it is revoked', async () => {
    const auditor = await world.certificateOf(A, 'auditor');
    expect(await world.ask(ports.mtls, auditor, { path: '/v1/keys' })).toMatchObject({ status: 200 });
    world.revoke(leafOf(auditor.cert ?? ''));
    await expect(world.ask(ports.mtls, auditor, { path: '/v1/keys' })).rejects.toThrow();
  });
});

describe('the token door', () => {
  it.each([
    ['no token', {}, 'CALLER_UNKNOWN'],
    ['a wrong token', { authorization: `Bearer ${'x'.repeat(32)}` }, 'TOKEN_REFUSED'],
  ])('refuses %s', async (_, headers, code) => {
    expect(await world.ask(ports.token, {}, { path: '/v1/keys', headers })).toMatchObject({ status: 401, body: { code } });
  });

  it('does not read the body of a caller whom it does not know', async () => {
    const huge = { method: 'POST', path: '/v1/intents', body: '{"a":1,"a":2}' };
    expect(await world.ask(ports.token, {}, huge)).toMatchObject({ status: 401, body: { code: 'CALLER_UNKNOWN' } });
  });

  it('lets a credential do no more than it is for, whatever its principal may', async () => {
    const narrowed = await world.open(fake.service, async () => ({
      principal: 'operator',
      via: 'token',
      credential: SHOWN,
      onlyRoles: ['viewer'],
    }));
    expect(await world.ask(narrowed.token, {}, { path: '/v1/keys' })).toMatchObject({
      status: 403,
      body: { code: 'ROLE_MISSING' },
    });
    const both = await world.open(fake.service, async () => ({
      principal: 'operator',
      via: 'token',
      credential: SHOWN,
      onlyRoles: ['viewer', 'operator'],
    }));
    expect(await world.ask(both.token, {}, { path: '/v1/keys' })).toMatchObject({ status: 200 });
    expect(await world.ask(both.token, {}, { path: '/v1/apikeys' })).toMatchObject({ status: 403 });
  });
});

describe('plans', () => {
  it('of one principal are so many at once, until they are answered; others get theirs', async () => {
    const judged = Promise.withResolvers<undefined>();
    const slow = fakeService();
    const { plan } = slow.service;
    const { token } = await world.open({
      ...slow.service,
      plan: async (...asked) => {
        const planned = await plan(...asked);
        if (asked[1] === 'viewer') await judged.promise;
        return planned;
      },
    });
    const asks = (role: string) => world.ask(token, asToken(role), post('/v1/plans', intent()));
    const all = Array.from({ length: PLANS_MAX + 1 }, () => asks('viewer'));
    expect(await Promise.race(all)).toMatchObject({ status: 429, body: { code: 'PLANS_EXCEEDED' } });
    expect(await asks('operator')).toMatchObject({ status: 200 });
    judged.resolve(undefined);
    expect((await Promise.all(all)).filter(({ status }) => status === 200).length).toBe(PLANS_MAX);
    expect(await asks('viewer')).toMatchObject({ status: 200 });
  });
});

describe('whoever deals, drills and recovers', () => {
  it.each([
    'GET /v1/custodians',
    'GET /v1/escrows',
    'GET /v1/escrows/:escrow',
    'GET /v1/drills/:drill',
    'GET /v1/recoveries/:recovery',
  ])('sees what it is about: %s', async (name) => {
    const path = GOOD[name]?.path;
    if (path === undefined) throw new Error('no such route');
    expect(await ask({ path }, 'key-custodian')).toMatchObject({ status: 200 });
  });
});

describe('bad input', () => {
  const intentText = JSON.stringify(intent());
  it.each<[string, Parameters<DoorsWorld['ask']>[2], number, string]>([
    ['no JSON', { method: 'POST', path: '/v1/intents', body: '{' }, 400, 'JSON_SYNTAX'],
    ['an empty body', { method: 'POST', path: '/v1/intents' }, 400, 'PARAMETER_INVALID'],
    [
      'a key twice',
      { method: 'POST', path: '/v1/intents', body: intentText.replace('"id":', '"id":"two","id":') },
      400,
      'JSON_DUPLICATE_KEY',
    ],
    [
      'a key twice, once escaped',
      { method: 'POST', path: '/v1/intents', body: intentText.replace('"id":', '"\\u0069d":"two","id":') },
      400,
      'JSON_DUPLICATE_KEY',
    ],
    [
      '__proto__',
      { method: 'POST', path: '/v1/intents', body: intentText.replace('"id":', '"__proto__":{},"id":') },
      400,
      'JSON_PROTO',
    ],
    [
      'a float',
      { method: 'POST', path: '/v1/vms', body: JSON.stringify({ ...vmCreation, memoryMiB: 64.5 }) },
      400,
      'JSON_NUMBER',
    ],
    ['no UTF-8', { method: 'POST', path: '/v1/intents', body: Buffer.from([0x22, 0xff, 0x22]) }, 400, 'JSON_UTF8'],
    ['a deep body', { method: 'POST', path: '/v1/intents', body: '['.repeat(100) }, 400, 'JSON_DEPTH'],
    ['a huge body', { method: 'POST', path: '/v1/intents', body: `"${'x'.repeat(BODY_BYTES_MAX)}"` }, 413, 'REQUEST_TOO_LARGE'],
    [
      'a form',
      { method: 'POST', path: '/v1/intents', body: 'a=b', headers: { 'content-type': 'application/x-www-form-urlencoded' } },
      415,
      'MEDIA_TYPE_UNSUPPORTED',
    ],
    ['an unknown field', post('/v1/intents', { ...intent(), extra: 1 }), 400, 'PARAMETER_INVALID'],
    ['an unknown field inside', post('/v1/intents', intent({ force: true })), 400, 'PARAMETER_INVALID'],
    ['an unknown type', post('/v1/intents', { ...intent(), type: 'other' }), 400, 'PARAMETER_INVALID'],
    ['an unknown mode', post('/v1/intents', intent({ mode: 'live' })), 400, 'PARAMETER_INVALID'],
    ['control characters in a reason', post('/v1/intents', intent({ reason: 'a\nb' })), 400, 'PARAMETER_INVALID'],
    [
      'an id that is no UUIDv7',
      post('/v1/intents', intent({ migration: '11111111-1111-4111-8111-111111111111' })),
      400,
      'PARAMETER_INVALID',
    ],
    [
      'a plan of a signed intent',
      post('/v1/plans', { ...intent(), type: 'dev.carnet.migration.signed-intent.v1' }),
      400,
      'PARAMETER_INVALID',
    ],
    ['a body where none belongs', post('/v1/images/tiny/verify', { force: true }), 400, 'PARAMETER_INVALID'],
    ['a host path as a file name', post('/v1/images', { name: 'x', file: '../etc/shadow' }), 400, 'PARAMETER_INVALID'],
    ['a VM without a disk', post('/v1/vms', { ...vmCreation, capacityBytes: undefined }), 400, 'PARAMETER_INVALID'],
    ['a bad migration id', { path: '/v1/migrations/nonsense' }, 400, 'PARAMETER_INVALID'],
    ['a bad digest', { path: '/v1/events/ABC' }, 400, 'PARAMETER_INVALID'],
    ['a bad VM', post('/v1/vms/csp-a.example/1/on', {}), 400, 'PARAMETER_INVALID'],
    ['a query parameter twice', { path: '/v1/migrations?limit=1&limit=2' }, 400, 'PARAMETER_INVALID'],
    ['a limit of nothing', { path: '/v1/migrations?limit=0' }, 400, 'PARAMETER_INVALID'],
    ['a limit without end', { path: '/v1/events?limit=1000000' }, 400, 'PARAMETER_INVALID'],
    ['an unknown query parameter', { path: '/v1/migrations?opne=true' }, 400, 'PARAMETER_INVALID'],
    ['a query where none belongs', { path: '/v1/keys?all=1' }, 400, 'PARAMETER_INVALID'],
    ['an unknown event', { path: `/v1/events/${DIGEST}` }, 404, 'EVENT_UNKNOWN'],
    ['an unknown path', { path: '/v2/keys' }, 404, 'ROUTE_UNKNOWN'],
    ['another method', { method: 'DELETE', path: '/v1/keys' }, 404, 'ROUTE_UNKNOWN'],
    ['a broken escape in the path', { path: '/v1/keys/%E0%A4%A' }, 400, 'REQUEST_MALFORMED'],
    ['an export for an unknown peer', { path: '/v1/export?peer=csp-z.example' }, 404, 'PEER_UNKNOWN'],
    ['a proof against nonsense', { path: '/v1/peers/%20/proof' }, 400, 'PARAMETER_INVALID'],
    ['an export for nonsense', { path: '/v1/export?peer=%20' }, 400, 'PARAMETER_INVALID'],
    ['a follower with nonsense', { path: '/v1/follow?form=1' }, 400, 'PARAMETER_INVALID'],
  ])('%s', async (_, asked, status, code) => {
    const before = fake.calls.filter(([name]) => name !== 'events' && name !== 'peers').length;
    const reply = await ask(asked);
    expect(reply, JSON.stringify(reply)).toMatchObject({ status, body: { code, text: expect.any(String) } });
    expect(fake.calls.filter(([name]) => name !== 'events' && name !== 'peers').length, 'nothing was done').toBe(before);
  });

  it('a failure inside tells the caller nothing but that', async () => {
    const { service } = fakeService({
      keys: async () => {
        throw new Error('password is hunter2');
      },
    });
    const { token } = await world.open(service);
    const reply = await world.ask(token, asToken('operator'), { path: '/v1/keys' });
    expect(reply).toEqual({ status: 500, body: { code: 'INTERNAL', text: 'the broker failed; its log says why' } });
  });

  it('a database that is away is a refusal that passes: 503, and when to ask again', async () => {
    const gone = Object.assign(new Error('terminating connection due to administrator command'), { code: '57P01' });
    const { service } = fakeService({ keys: () => Promise.reject(gone) });
    const { token } = await world.open(service);
    const reply = await world.ask(token, asToken('operator'), { path: '/v1/keys' });
    expect(reply).toMatchObject({ status: 503, body: { code: 'DATABASE_UNAVAILABLE' } });
    expect(JSON.stringify(reply.body)).not.toContain('terminating');
  });

  it('a peer of which nothing is kept that convicts it: 404, and nothing that could be taken for a proof', async () => {
    const none = { code: 'PROOF_NONE', text: 'nothing is kept' };
    const { service } = fakeService({ proofAgainst: async () => ({ ok: false, ...none }) });
    const { token } = await world.open(service);
    const reply = await world.ask(token, asToken('viewer'), { path: '/v1/peers/csp-b.example/proof' });
    expect(reply).toEqual({ status: 404, body: none });
  });

  it('a refusal of the service keeps its code, text and reasons', async () => {
    const refusal = { code: 'POLICY_DENIES', text: 'no', reasons: [{ code: 'PEER_NOT_ALLOWED', text: 'not that one' }] };
    const { service } = fakeService({ intend: async () => ({ ok: false, ...refusal }) });
    const { token } = await world.open(service);
    expect(await world.ask(token, asToken('operator'), post('/v1/intents', intent()))).toEqual({ status: 403, body: refusal });
  });
});

it('who connects and says nothing does not keep the doors from closing', async () => {
  const other = await createDoorsWorld();
  const { mtls, token } = await other.open(fakeService().service);
  for (const port of [mtls, token]) {
    const silent = connect({ host: '127.0.0.1', port });
    silent.on('error', () => undefined);
    await once(silent, 'connect');
  }
  const late = once(AbortSignal.timeout(10_000), 'abort').then(() => 'late');
  expect(await Promise.race([other.close().then(() => 'closed'), late])).toBe('closed');
}, 60_000);
