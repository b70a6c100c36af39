import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type Barbican, eventually, type Keystone, type KeystoneUser, scratch, startBarbican, startKeystone } from '@carnet/dev';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { z } from 'zod';
import { apiKeyAt } from './harness/api-keys.ts';
import { barbicanClient, type ClientAsked, type Seen, type Step } from './harness/barbican-client.ts';
import { type Cloud, tokenClientOf } from './harness/cloud.ts';
import { type Clouds, startClouds } from './harness/clouds.ts';
import { diskKeysOf, moveDone } from './harness/disk-keys.ts';
import { createVm, MEMORY_MIB, must } from './harness/moves.ts';

/** A beside OpenStack: its services read A's keys by Barbican's API. B keeps its keys in a Barbican. */
let dir: string;
let keystone: Keystone;
let barbican: Barbican;
let user: KeystoneUser;
/** Of a project whose users may ask A for moves. */
let ops: KeystoneUser;
/** B's own, as a client takes it. */
let login: Readonly<Record<string, string>>;
let clouds: Clouds;
beforeAll(async () => {
  dir = scratch('keysb');
  keystone = await startKeystone({ dir: join(dir, 'keystone') });
  barbican = await startBarbican({ dir: join(dir, 'barbican'), keystone });
  user = await keystone.admin.createUser('carnet-b', await keystone.admin.createProject('shop'), 'creator');
  ops = await keystone.admin.createUser('ops', await keystone.admin.createProject('ops'), 'member');
  const judge = await keystone.admin.createUser('carnet-a', await keystone.admin.createProject('service'), 'service');
  const judging = await keystone.admin.createApplicationCredential(judge, 'carnet');
  const judgingFile = join(dir, 'judging');
  writeFileSync(judgingFile, judging.secret, { mode: 0o600 });
  const credential = await keystone.admin.createApplicationCredential(user, 'carnet');
  login = {
    auth_url: `${keystone.url}/v3`,
    application_credential_id: credential.id,
    application_credential_secret: credential.secret,
  };
  const secretFile = join(dir, 'credential');
  writeFileSync(secretFile, credential.secret, { mode: 0o600 });
  clouds = await startClouds({
    policy: (text) => (text.startsWith('[') ? JSON.stringify([...JSON.parse(text), ...usersOf(user, ops)]) : text),
    broker: (text, { key }) =>
      key === 'b'
        ? text
        : `${text}
[tokens.keystone]
url = "${keystone.url}"
credentialId = "${judging.id}"
credentialSecretFile = "${judgingFile}"
roles = { creator = ["viewer"], member = ["viewer", "scheduler"] }
projects = { "${user.project}" = "default", "${ops.project}" = "*" }
`,
    keys: ({ key }, paths) =>
      key === 'a'
        ? undefined
        : `[keys]
backend = "barbican"
rootFile = "${paths.keyRoot}"
passphraseFile = "${paths.passphrase}"
[keys.barbican]
url = "${barbican.url}"
[keys.barbican.keystone]
url = "${keystone.url}"
credentialId = "${credential.id}"
credentialSecretFile = "${secretFile}"
`,
  });
});
/** Users of two Keystone projects, as A's policy set has them. */
const usersOf = (shop: KeystoneUser, movers: KeystoneUser): readonly object[] => [
  { uid: { type: 'User', id: `keystone/${shop.project}/*` }, parents: [{ type: 'Role', id: 'viewer' }] },
  {
    uid: { type: 'User', id: `keystone/${movers.project}/*` },
    parents: [
      { type: 'Role', id: 'viewer' },
      { type: 'Role', id: 'scheduler' },
      { type: 'Project', id: 'csp-a.example/default' },
    ],
  },
];
afterAll(async () => {
  await clouds?.stop();
  for (const part of [barbican, keystone]) await part?.stop();
});

const ask = async (path: string) => {
  const headers = {
    'x-auth-token': await keystone.admin.tokenOf(user),
    accept: 'application/json',
    'openstack-api-version': 'key-manager 1.1',
  };
  const response = await fetch(`${barbican.url}/v1${path}`, { headers });
  return { status: response.status, json: JSON.parse(await response.text()) };
};

describe('from a sealed file to Barbican behind Keystone, and back', () => {
  it('the key lies in the project with metadata and consumer, the source has none; a move back empties it', async () => {
    const { a, b } = clouds;
    // Its project is the policies' business: the host is asked for the same machine as if none had been named.
    const vm = await createVm(a, MEMORY_MIB, 'default');
    const mover = tokenClientOf(a, await keystone.admin.tokenOf(ops));
    const migration = await moveDone(clouds, a, b, vm, mover);
    const events = must(await mover.get<{ readonly items: readonly unknown[] }>(`/v1/events?migration=${migration}&limit=1`));
    mover.close();
    const request = { via: 'token', principal: `keystone/${ops.project}/${ops.id}`, roles: ['viewer', 'scheduler'] };
    expect(events.items).toMatchObject([{ type: 'MigrationIntended', event: { data: { request } } }]);
    const [atA] = await diskKeysOf(a, vm);
    expect(atA).toMatchObject({ state: 'destroyed', wrapped: null });
    const [atB] = await diskKeysOf(b, vm);
    expect(atB).toMatchObject({ key: atA?.key, state: 'active' });
    const labels = await eventually('metadata of the key that is held', async () => {
      const { json } = await ask(`/secrets/${atB?.secret}/metadata`);
      return json.metadata['carnet-state'] === 'active' ? json.metadata : undefined;
    });
    expect(labels).toMatchObject({
      'carnet-migration': migration,
      'carnet-epoch': '1',
      'carnet-source': 'csp-a.example',
      'carnet-holder': 'csp-b.example',
      'carnet-vm': vm.vm,
      'carnet-deposit': expect.stringMatching(/^[0-9a-f]{64}$/),
      'carnet-release': expect.stringMatching(/^[0-9a-f]{64}$/),
    });
    // Told after the metadata.
    const secret = await eventually('a consumer of the secret', async () => {
      const { json } = await ask(`/secrets/${atB?.secret}`);
      return json.consumers.length > 0 ? json : undefined;
    });
    expect(secret).toMatchObject({
      creator_id: user.id,
      consumers: [{ service: 'carnet', resource_type: 'vm', resource_id: vm.uuid }],
    });

    // What this CSP's own door says of a key is what the Barbican says in which it lies.
    const there = await tell({ keystone: login }, `${barbican.url}/v1/secrets/${atB?.secret}`);
    expect(await tell(operatorOf(b, 'csp-a.example/default'), `https://broker.${b.plan.domain}/v1/secrets/${atB?.key}`)).toEqual(
      there,
    );

    await moveDone(clouds, b, a, vm);
    await eventually('a Barbican without the key', async () =>
      (await ask(`/secrets/${atB?.secret}`)).status === 404 ? true : undefined,
    );
    expect((await diskKeysOf(b, vm)).map(({ state, secret: left }) => [state, left])).toEqual([['destroyed', null]]);
    expect((await diskKeysOf(a, vm)).map(({ state }) => state).toSorted()).toEqual(['active', 'destroyed']);
  });
});

/** What a client is told of one secret; for what differs by nature (addresses, times, who made it) only its kind. */
async function tell(asked: ClientAsked, ref: string): Promise<readonly unknown[]> {
  const path = `secrets/${ref.split('/').at(-1)}`;
  const seen = await barbicanClient(asked, [
    ['get', { ref }],
    ['raw', { path, version: '1.0' }],
    ['raw', { path, version: '1.1' }],
    ['metadata', { ref }],
    ['raw', { path: `${path}/consumers`, version: '1.1' }],
  ]);
  const own = ['ref', 'secret_ref', 'created', 'updated', 'creator_id'];
  return valuesOf(seen).map((value) =>
    JSON.parse(JSON.stringify(value, (name, inner) => (own.includes(name) ? typeof inner : inner))),
  );
}

/** One of A's doors, by the name in its certificate, which no name server here knows. */
const doorOf = ({ plan, paths, facts }: Cloud, door: 'http' | 'tokens'): ClientAsked => ({
  endpoint: `https://broker.${plan.domain}:${facts.ports[door]}`,
  names: { [`broker.${plan.domain}`]: '127.0.0.1' },
  ca: join(paths.pki, 'root.pem'),
});
const operatorOf = (cloud: Cloud, project = 'default'): ClientAsked => ({
  ...doorOf(cloud, 'http'),
  cert: [join(cloud.paths.pki, 'operator.pem'), join(cloud.paths.pki, 'operator.key')],
  project_id: project,
});
const listed = z.array(z.looseObject({ ref: z.string() }));
const valuesOf = (seen: readonly Seen[]): readonly unknown[] =>
  seen.map((one) => {
    if (one.value === undefined) throw new Error(`${one.refused}: ${one.text}`);
    return one.value;
  });

describe("OpenStack's client reads Carnet's own key manager", () => {
  it('with a client certificate: versions, pages, one key, metadata, consumers', async () => {
    const { a } = clouds;
    const vm = await createVm(a);
    await createVm(a);
    const [held] = await diskKeysOf(a, vm);
    const door = operatorOf(a);
    const ref = `${door.endpoint}/v1/secrets/${held?.key}`;
    const [total, pages, key, labels, consumers, versions] = valuesOf(
      await barbicanClient(door, [
        ['total'],
        ['walk', { limit: 1 }],
        ['get', { ref }],
        ['metadata', { ref }],
        ['raw', { path: `secrets/${held?.key}/consumers`, version: '1.1' }],
        ['versions', { url: `${door.endpoint}/` }],
      ]),
    );
    const refs = (pages as readonly (readonly string[])[]).map((page) => page[0]);
    expect(new Set(refs).size).toBe(total);
    expect(refs).toContain(ref);
    expect(key).toMatchObject({ ref, status: 'ACTIVE', secret_type: 'symmetric', algorithm: 'aes', bit_length: 256 });
    expect(labels).toMatchObject({ 'carnet-key': held?.key, 'carnet-vm': vm.vm, 'carnet-state': 'active' });
    expect(consumers).toMatchObject({ total: 1, consumers: [{ service: 'carnet', resource_type: 'vm', resource_id: vm.uuid }] });
    expect(versions).toMatchObject({ versions: { values: [{ id: 'v1', links: [{ href: `${door.endpoint}/v1/` }, {}] }] } });
  });

  it('gets no payload, stores and deletes nothing, and is told that the rest is not there', async () => {
    const { a } = clouds;
    const vm = await createVm(a);
    const before = await diskKeysOf(a, vm);
    const door = operatorOf(a);
    const ref = `${door.endpoint}/v1/secrets/${before[0]?.key}`;
    const seen = await barbicanClient(door, [['payload', { ref }], ['store'], ['delete', { ref }], ['containers'], ['orders']]);
    expect(seen.map(({ refused, status }) => [refused, status])).toEqual([
      ['HTTPClientError', 403],
      ['HTTPClientError', 405],
      ['HTTPClientError', 405],
      ['HTTPClientError', 404],
      ['HTTPClientError', 404],
    ]);
    expect(seen[0]?.text).toContain('PAYLOAD_WITHHELD');
    expect(await diskKeysOf(a, vm)).toEqual(before);
  });

  it('with an API key, in the header of either world; one of another project sees that project only', async () => {
    const { a } = clouds;
    const vm = await createVm(a);
    const [held] = await diskKeysOf(a, vm);
    const [foreign] = await diskKeysOf(a, await createVm(a, MEMORY_MIB, 'bank'));
    const door = doorOf(a, 'tokens');
    const refOf = (key: string | undefined): string => `${door.endpoint}/v1/secrets/${key}`;
    const [csp, bank] = [await apiKeyAt(a, 'csp', ['viewer']), await apiKeyAt(a, 'bank', ['viewer'], 'bank')];
    const steps: readonly Step[] = [
      ['list', { limit: 100 }],
      ['get', { ref: refOf(held?.key) }],
      ['get', { ref: refOf(foreign?.key) }],
    ];
    const refs = (seen: Seen | undefined): readonly string[] => listed.parse(seen?.value).map(({ ref }) => ref);
    const unknown = { refused: 'HTTPClientError', status: 404 };

    const ours = await barbicanClient({ ...door, project_id: 'default', headers: { authorization: `Bearer ${csp}` } }, steps);
    expect(refs(ours[0])).not.toContain(refOf(foreign?.key));
    expect(ours.slice(1)).toMatchObject([{ value: {} }, unknown]);
    const theirs = await barbicanClient({ ...door, token: bank, project_id: 'default' }, steps);
    expect(refs(theirs[0])).toEqual([refOf(foreign?.key)]);
    expect(theirs.slice(1)).toMatchObject([unknown, { value: {} }]);
    expect(await barbicanClient({ ...door, token: `${csp.slice(0, -1)}x` }, steps.slice(0, 1))).toMatchObject([
      { refused: 'HTTPAuthError', status: 401, text: expect.stringContaining('TOKEN_REFUSED') },
    ]);
  });
});

describe("Keystone's users are A's", () => {
  const asUser = async (token: string, path: string): Promise<string> => {
    const api = tokenClientOf(clouds.a, token);
    const answer = await api.get<unknown>(path);
    api.close();
    return answer.ok ? 'ok' : answer.code;
  };
  const tokenOf = (of: KeystoneUser) => keystone.admin.tokenOf(of);

  it("their clients bring Keystone's token and read the keys of their project, and nothing else", async () => {
    const door = doorOf(clouds.a, 'tokens');
    const seen = await barbicanClient({ ...door, keystone: login }, [['total'], ['list', { limit: 1 }], ['containers']]);
    expect(seen).toMatchObject([{ value: expect.any(Number) }, { value: [{ status: 'ACTIVE' }] }, { status: 404 }]);
    expect(await asUser(await tokenOf(user), '/v1/keys')).toBe('PROJECT_LIMITED');
    expect(await asUser(await tokenOf(ops), '/v1/keys')).toBe('ok');
  });

  it('of another project, without a role, with a token that was revoked or never was, they are refused', async () => {
    const stranger = await keystone.admin.createUser('stranger', await keystone.admin.createProject('elsewhere'), 'member');
    const observer = await keystone.admin.createUser('watcher', ops.project, 'observer');
    expect(await asUser(await tokenOf(stranger), '/v1/keys')).toBe('PROJECT_UNMAPPED');
    expect(await asUser(await tokenOf(observer), '/v1/keys')).toBe('ROLE_MISSING');
    expect(await asUser('gAAAAAB-nobody-ever-made-this-token', '/v1/keys')).toBe('TOKEN_REFUSED');
    const token = await tokenOf(ops);
    expect(await asUser(token, '/v1/keys')).toBe('ok');
    await keystone.admin.revoke(token);
    await eventually('a revoked token that is refused', async () =>
      (await asUser(token, '/v1/keys')) === 'TOKEN_REFUSED' ? true : undefined,
    );
  });

  it('while Keystone is away they wait, and API keys go on', async () => {
    const token = await tokenOf(ops);
    const apiKey = await apiKeyAt(clouds.a, 'during', ['viewer']);
    await keystone.kill('SIGKILL');
    expect(await asUser(token, '/v1/keys')).toBe('KEYSTONE_UNAVAILABLE');
    expect(await asUser(apiKey, '/v1/keys')).toBe('ok');
    await keystone.restart();
    await eventually('a Keystone that is asked again', async () =>
      (await asUser(token, '/v1/keys')) === 'ok' ? true : undefined,
    );
  });
});
