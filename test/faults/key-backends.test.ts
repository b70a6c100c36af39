import { randomBytes } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import {
  type Barbican,
  eventually,
  type Keystone,
  type KeystoneUser,
  type SoftHsmToken,
  scratch,
  softhsmToken,
  startBarbican,
  startKeystone,
} from '@carnet/dev';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Cloud } from './harness/cloud.ts';
import { type Clouds, startClouds } from './harness/clouds.ts';
import { rowsOf } from './harness/ledger-db.ts';
import { createVm, intend, settled, type Vm } from './harness/moves.ts';

/** Whole migrations between real brokers; each side keeps its keys in its own way. */
const END_MS_MAX = 90_000;

type DiskKey = { readonly key: string; readonly state: string; readonly wrapped: string | null; readonly secret: string | null };
const keysOf = (cloud: Cloud, { vm }: Vm): Promise<readonly DiskKey[]> =>
  rowsOf<DiskKey>(cloud.database, "select key, state, wrapped, secret from keys_holdings where vm = $1 and kind = 'disk'", [vm]);

async function move(clouds: Clouds, from: Cloud, to: Cloud, vm: Vm): Promise<string> {
  const migration = await intend(from, to, vm, 'cold');
  const row = await settled(clouds, migration, END_MS_MAX);
  expect(row).toMatchObject({ ended: true, outcome: 'done' });
  return migration;
}

describe('from a sealed file to Barbican behind Keystone, and back', () => {
  let dir: string;
  let keystone: Keystone;
  let barbican: Barbican;
  let user: KeystoneUser;
  let clouds: Clouds;
  beforeAll(async () => {
    dir = scratch('keysb');
    keystone = await startKeystone({ dir: join(dir, 'keystone') });
    barbican = await startBarbican({ dir: join(dir, 'barbican'), keystone });
    user = await keystone.admin.createUser('carnet-b', await keystone.admin.createProject('shop'), 'creator');
    const credential = await keystone.admin.createApplicationCredential(user, 'carnet');
    const secretFile = join(dir, 'credential');
    writeFileSync(secretFile, credential.secret, { mode: 0o600 });
    clouds = await startClouds({
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

  it('the key lies in the project with metadata and consumer, the source has none; a move back empties it', async () => {
    const { a, b } = clouds;
    const vm = await createVm(a);
    const migration = await move(clouds, a, b, vm);
    const [atA] = await keysOf(a, vm);
    expect(atA).toMatchObject({ state: 'destroyed', wrapped: null });
    const [atB] = await keysOf(b, vm);
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
    const { json: secret } = await ask(`/secrets/${atB?.secret}`);
    expect(secret).toMatchObject({
      creator_id: user.id,
      consumers: [{ service: 'carnet', resource_type: 'vm', resource_id: vm.uuid }],
    });

    await move(clouds, b, a, vm);
    await eventually('a Barbican without the key', async () =>
      (await ask(`/secrets/${atB?.secret}`)).status === 404 ? true : undefined,
    );
    expect((await keysOf(b, vm)).map(({ state, secret: left }) => [state, left])).toEqual([['destroyed', null]]);
    expect((await keysOf(a, vm)).map(({ state }) => state).toSorted()).toEqual(['active', 'destroyed']);
  });
});

describe('from a sealed file to a PKCS#11 token', () => {
  let token: SoftHsmToken;
  let clouds: Clouds;
  beforeAll(async () => {
    token = softhsmToken({ dir: join(scratch('keysh'), 'token'), label: `t-${randomBytes(4).toString('hex')}` });
    clouds = await startClouds({
      keys: ({ key }) =>
        key === 'a'
          ? undefined
          : `[keys]
backend = "pkcs11"
module = "${token.module}"
token = "${token.label}"
pinFile = "${token.pinFile}"
environment = { SOFTHSM2_CONF = "${token.environment['SOFTHSM2_CONF']}" }
`,
    });
  });
  afterAll(async () => {
    await clouds?.stop();
  });

  it('the key is held under a root that the token made itself', async () => {
    const { a, b } = clouds;
    const vm = await createVm(a);
    await move(clouds, a, b, vm);
    expect(await keysOf(a, vm)).toMatchObject([{ state: 'destroyed', wrapped: null }]);
    expect(await keysOf(b, vm)).toMatchObject([{ state: 'active', secret: null, wrapped: expect.any(String) }]);
    await move(clouds, b, a, vm);
    expect((await keysOf(a, vm)).map(({ state }) => state).toSorted()).toEqual(['active', 'destroyed']);
  });
});
