import { execFile } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { type Barbican, daemonEnv, type Keystone, scratch, startBarbican, startKeystone, systemTool } from '@carnet/dev';
import { trustDomain } from '@carnet/events';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { onKeys } from '../../records/tables.ts';
import { deksAt, imported, rawDeksAt } from '../../testing/contract-suite.ts';
import { type FaultProxy, faultProxy } from '../../testing/fault-proxy.ts';
import { askBarbican, keystoneOptions, type Member, member } from '../../testing/managers.ts';
import { begin, inlineProcess, must, openSide, type Side, type Story } from '../../testing/two-sides.ts';
import { openKeyService } from '../service.ts';

let dir: string;
let keystone: Keystone;
let barbican: Barbican;
let proxy: FaultProxy;
let ours: Member;
let reader: Member;
let a: Side;
let b: Side;
beforeAll(async () => {
  dir = scratch('ks');
  keystone = await startKeystone({ dir: join(dir, 'keystone') });
  barbican = await startBarbican({ dir: join(dir, 'barbican'), keystone });
  proxy = await faultProxy(barbican.url);
  ours = await member(keystone, join(dir, 'ours'));
  reader = await member(keystone, join(dir, 'reader'));
  a = await openSide({ process: inlineProcess() });
  b = await openSide({
    process: inlineProcess(),
    domain: 'csp-b.example',
    barbican: { ...keystoneOptions(proxy, keystone, ours), readers: [reader.user.id] },
  });
});
afterAll(async () => {
  for (const side of [a, b]) await side?.close();
  await proxy?.close();
  for (const part of [barbican, keystone]) await part?.stop();
});

/** Where a migrated key lies, and what it is. */
async function arrive(): Promise<{ readonly story: Story; readonly path: string; readonly dek: Buffer }> {
  const story = await begin(a, b);
  await imported(a, b, story);
  must({ ok: true, value: await b.keys.settleSecrets() });
  const [key] = story.keys;
  const row = await onKeys(b.store.db)
    .selectFrom('keys_holdings')
    .select('secret')
    .where('key', '=', key?.key ?? '')
    .executeTakeFirstOrThrow();
  const [dek] = await rawDeksAt(b, story, 'run');
  if (dek === undefined) throw new Error('a story has a disk');
  return { story, path: `/secrets/${row.secret}`, dek };
}
const payloadAs = async (path: string, headers: Readonly<Record<string, string>>) =>
  askBarbican(barbican, `${path}/payload`, headers, { accept: 'application/octet-stream' });
const tokenHeader = async ({ user }: Member) => ({ 'x-auth-token': await keystone.admin.tokenOf(user) });

describe('Barbican behind Keystone', () => {
  it('holds the key in the project of the application credential, made by its user', async () => {
    const { path, dek } = await arrive();
    const asked = await askBarbican(barbican, path, await tokenHeader(ours));
    expect(asked.json).toMatchObject({ creator_id: ours.user.id });
    expect((await payloadAs(path, await tokenHeader(ours))).bytes.equals(dek)).toBe(true);
  });

  it('gives it to the readers we named, to nobody else of the project, and to no other project', async () => {
    const { path, dek } = await arrive();
    const colleague = await member(keystone, join(dir, 'colleague'), ours.user.project);
    const foreigner = await member(keystone, join(dir, 'foreigner'));
    expect((await payloadAs(path, await tokenHeader(reader))).bytes.equals(dek)).toBe(true);
    for (const other of [colleague, foreigner]) expect((await payloadAs(path, await tokenHeader(other))).status).toBe(403);
    const forged = { 'x-project-id': ours.user.project, 'x-roles': 'admin', 'x-identity-status': 'Confirmed' };
    expect((await payloadAs(path, forged)).status).toBe(401);
    expect((await payloadAs(path, { ...(await tokenHeader(foreigner)), ...forged })).status).toBe(403);
  });

  it('`openstack secret get` reads what was stored', async () => {
    const { path, dek } = await arrive();
    const file = join(scratch('osc'), 'payload');
    const env = {
      ...daemonEnv,
      HOME: scratch('osc'),
      OS_AUTH_TYPE: 'v3applicationcredential',
      OS_AUTH_URL: `${keystone.url}/v3`,
      OS_APPLICATION_CREDENTIAL_ID: ours.credential.id,
      OS_APPLICATION_CREDENTIAL_SECRET: ours.credential.secret,
    };
    const command = ['secret', 'get', '--file', file, '--payload_content_type', 'application/octet-stream'];
    await promisify(execFile)(systemTool('openstack'), [...command, `${barbican.url}/v1${path}`], { env });
    expect(readFileSync(file).equals(dek)).toBe(true);
  });

  it('a token that was revoked is refused there, and replaced by a fresh one here', async () => {
    const { story } = await arrive();
    const deks = await deksAt(b, story, 'run');
    const revoked = proxy.token() ?? '';
    await keystone.admin.revoke(revoked);
    expect((await askBarbican(barbican, '/secrets', { 'x-auth-token': revoked })).status).toBe(401);
    expect(await deksAt(b, story, 'run')).toEqual(deks);
    expect(proxy.token()).not.toBe(revoked);
  });

  it('a credential that was deleted opens nothing any more, at once', async () => {
    const leaving = await member(keystone, join(dir, 'leaving'));
    const barbicanOfLeaving = keystoneOptions(barbican, keystone, leaving);
    const side = await openSide({ process: inlineProcess(), domain: 'csp-b.example', barbican: barbicanOfLeaving });
    const story = await begin(a, side);
    await imported(a, side, story);
    await deksAt(side, story, 'run');
    await keystone.admin.deleteApplicationCredential(leaving.user, leaving.credential.id);
    await expect(deksAt(side, story, 'run')).rejects.toThrow('KEYSTONE_REFUSED');
    const holder = trustDomain.parse('csp-b.example');
    const root = {
      kind: 'file',
      path: join(side.dir, 'root.json'),
      unlock: { kind: 'file', path: join(side.dir, 'passphrase') },
    } as const;
    expect(await openKeyService({ root, holder, barbican: barbicanOfLeaving })).toMatchObject({ code: 'KEYSTONE_REFUSED' });
    await side.close();
  });

  it('a user without the role may not store, and nothing changes', async () => {
    const project = await keystone.admin.createProject('observed');
    const user = await keystone.admin.createUser('observer', project, 'observer');
    const credential = await keystone.admin.createApplicationCredential(user, 'carnet');
    const secretFile = join(dir, 'observer');
    writeFileSync(secretFile, credential.secret, { mode: 0o600 });
    const options = keystoneOptions(barbican, keystone, { user, credential, secretFile });
    const side = await openSide({ process: inlineProcess(), domain: 'csp-b.example', barbican: options });
    const story = await begin(a, side);
    await expect(imported(a, side, story)).rejects.toThrow('BARBICAN_FORBIDDEN');
    expect((await side.keys.list()).map(({ state }) => state)).toEqual(['pre-activation', 'pre-activation']);
    await side.close();
  });
});
