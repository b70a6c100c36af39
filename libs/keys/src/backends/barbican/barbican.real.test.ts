import { randomBytes, randomUUID } from 'node:crypto';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { type Barbican, scratch, startBarbican } from '@carnet/dev';
import { trustDomain } from '@carnet/events';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createHostKeyPair } from '../../hosts.ts';
import { onKeys } from '../../records/tables.ts';
import { deksAt, imported, rawDeksAt } from '../../testing/contract-suite.ts';
import { askBarbican, secretsOf } from '../../testing/managers.ts';
import {
  begin,
  granted,
  inlineProcess,
  must,
  openSide,
  record,
  released,
  type Side,
  type Story,
  snapshot,
  TENANT,
  within,
} from '../../testing/two-sides.ts';
import { secretId } from '../../vault/hierarchy.ts';
import { barbicanClient } from './client.ts';

const PROJECT = 'project-b';
const AS = { 'x-project-id': PROJECT };
let barbican: Barbican;
let a: Side;
let b: Side;
beforeAll(async () => {
  barbican = await startBarbican({ dir: join(scratch('barbican'), 'barbican') });
  a = await openSide({ process: inlineProcess() });
  b = await openSide({
    process: inlineProcess(),
    domain: 'csp-b.example',
    barbican: { url: barbican.url, project: PROJECT },
  });
});
afterAll(async () => {
  for (const side of [a, b]) await side?.close();
  await barbican?.stop();
});

const clientOf = (project = PROJECT) =>
  barbicanClient({ url: barbican.url, holder: trustDomain.parse('csp-b.example'), readers: [], project }, undefined);
const given = <T>(result: { readonly ok: true; readonly value: T } | { readonly ok: false; readonly code: string }): T => {
  if (!result.ok) throw new Error(result.code);
  return result.value;
};
const secretOf = async (side: Side, key: string) => {
  const row = await onKeys(side.store.db)
    .selectFrom('keys_holdings')
    .select('secret')
    .where('key', '=', key)
    .executeTakeFirstOrThrow();
  return secretId.parse(row.secret);
};
const firstOf = ({ keys }: Story) => {
  const [first] = keys;
  if (first === undefined) throw new Error('a story has keys');
  return first;
};
const arrive = async (): Promise<Story> => {
  const story = await begin(a, b);
  await imported(a, b, story);
  expect(await b.keys.settleSecrets()).toMatchObject({ refused: [] });
  return story;
};
const destroy = (side: Side, { handover }: Story, key: Story['keys'][number]) =>
  within(side, async (tx) => {
    await side.keys.removeConsumer(tx, key.key, `vm:${handover.vm}`);
    return side.keys.changeState(tx, { ...key, to: 'destroyed', reason: 'test' });
  });
const sealAt = async (side: Side, story: Story) => {
  const { handover, keys } = story;
  const { publicKey } = await createHostKeyPair();
  const context = { domain: handover.target, host: 'h1', vm: handover.vm, epoch: 1, purpose: 'run' } as const;
  return side.keys.sealForHost({ context, keys: keys.slice(0, 1), publicKey, grant: granted(story, side.actor) });
};

describe('a migrated key in Barbican', () => {
  it('is 32 raw bytes, private, with provenance as metadata and the VM as consumer, and names no secret', async () => {
    const story = await arrive();
    const { key, artifact } = firstOf(story);
    const secret = await secretOf(b, key);
    const [dek] = await rawDeksAt(b, story, 'run');
    const payload = await askBarbican(barbican, `/secrets/${secret}/payload`, AS, { accept: 'application/octet-stream' });
    expect(payload.bytes.equals(dek ?? Buffer.alloc(0))).toBe(true);
    const { json: description } = await askBarbican(barbican, `/secrets/${secret}`, AS);
    expect(description).toMatchObject({
      name: `carnet:csp-b.example:${key}:v1:e1`,
      secret_type: 'symmetric',
      algorithm: 'aes',
      bit_length: 256,
      consumers: [{ service: 'carnet', resource_type: 'vm', resource_id: story.handover.vm.split('/')[1] }],
    });
    const { json: labels } = await askBarbican(barbican, `/secrets/${secret}/metadata`, AS);
    const { provenance } = must(await b.keys.show(firstOf(story)));
    expect(labels.metadata).toMatchObject({
      'carnet-holder': 'csp-b.example',
      'carnet-key': key,
      'carnet-artifact': artifact,
      'carnet-epoch': '1',
      'carnet-migration': story.handover.migration,
      'carnet-source': 'csp-a.example',
      'carnet-deposit': provenance?.deposit,
      'carnet-release': provenance?.release,
      'carnet-state': 'active',
    });
    const { json: acl } = await askBarbican(barbican, `/secrets/${secret}/acl`, AS);
    expect(acl.read).toMatchObject({ 'project-access': false, users: [] });
    const said = JSON.stringify([description, labels, acl]);
    for (const form of ['hex', 'base64'] as const) expect(said).not.toContain(dek?.toString(form));
  });

  it('that was exchanged for another key there is not used', async () => {
    const story = await arrive();
    const other = await arrive();
    await onKeys(b.store.db)
      .updateTable('keys_holdings')
      .set({ secret: await secretOf(b, firstOf(other).key) })
      .where('key', '=', firstOf(story).key)
      .execute();
    expect(await sealAt(b, story)).toMatchObject({ code: 'KEY_UNOPENABLE' });
  });

  it('that somebody deleted there is told as missing', async () => {
    const story = await arrive();
    await askBarbican(barbican, `/secrets/${await secretOf(b, firstOf(story).key)}`, AS, { method: 'DELETE' });
    const before = await snapshot(b);
    expect(await sealAt(b, story)).toMatchObject({ code: 'BARBICAN_SECRET_MISSING' });
    expect(await snapshot(b)).toBe(before);
  });

  it('is left where another service has registered as consumer, and goes when that has gone', async () => {
    const story = await arrive();
    const key = firstOf(story);
    const secret = await secretOf(b, key.key);
    const cinder = { service: 'cinder', resource_type: 'volume', resource_id: randomUUID() };
    const consumers = `/secrets/${secret}/consumers`;
    expect((await askBarbican(barbican, consumers, AS, { method: 'POST', body: JSON.stringify(cinder) })).status).toBe(200);
    must(await destroy(b, story, key));
    expect(await b.keys.settleSecrets()).toMatchObject({ destroyed: 0, refused: [{ code: 'BARBICAN_SECRET_IN_USE' }] });
    expect((await askBarbican(barbican, `/secrets/${secret}`, AS)).status).toBe(200);
    await askBarbican(barbican, consumers, AS, { method: 'DELETE', body: JSON.stringify(cinder) });
    expect(await b.keys.settleSecrets()).toMatchObject({ destroyed: 1, refused: [] });
    expect((await askBarbican(barbican, `/secrets/${secret}`, AS)).status).toBe(404);
  });

  it('that is deleted keeps its ciphertext there until the operator purges', async () => {
    const story = await arrive();
    const secret = await secretOf(b, firstOf(story).key);
    must(await destroy(b, story, firstOf(story)));
    await b.keys.settleSecrets();
    const left = (): number => {
      const database = new DatabaseSync(barbican.databaseFile, { readOnly: true });
      try {
        return Number(database.prepare('select count(*) as n from encrypted_data where secret_id = ?').get(secret)?.['n']);
      } finally {
        database.close();
      }
    };
    expect(left()).toBe(1);
    barbican.purge();
    expect(left()).toBe(0);
  });
});

describe('what its API leaves to its callers', () => {
  it('a payload of another length than was asked for is no key', async () => {
    const story = await arrive();
    const client = clientOf();
    const short = given(await client.create('short'));
    given(await client.fill(short, randomBytes(16)));
    await onKeys(b.store.db).updateTable('keys_holdings').set({ secret: short }).where('key', '=', firstOf(story).key).execute();
    expect(await sealAt(b, story)).toMatchObject({ code: 'KEY_UNOPENABLE' });
  });

  it('names repeat: a stranger under our name is neither used nor deleted', async () => {
    const story = await begin(a, b);
    const deks = await deksAt(a, story, 'trial-unlock');
    const key = firstOf(story);
    const client = clientOf();
    const planted = given(await client.create(`carnet:csp-b.example:${key.key}:v1:e1`));
    given(await client.label(planted, { purpose: 'mine' }));
    given(await client.fill(planted, randomBytes(32)));
    await imported(a, b, story);
    await b.keys.settleSecrets();
    expect(await deksAt(b, story, 'run')).toEqual(deks);
    expect(await secretOf(b, key.key)).not.toBe(planted);
    must(await destroy(b, story, key));
    await b.keys.settleSecrets();
    expect(given(await client.payload(planted))).toHaveLength(32);
    expect((await secretsOf(barbican, AS)).filter(({ name }) => name.includes(key.key))).toHaveLength(1);
  });

  it('a secret that claims to be ours with another payload stops the import, and nothing changes', async () => {
    const story = await begin(a, b);
    const key = firstOf(story);
    const client = clientOf();
    const planted = given(await client.create(`carnet:csp-b.example:${key.key}:v1:e1`));
    const labels = { 'carnet-holder': 'csp-b.example', 'carnet-key': key.key, 'carnet-version': '1', 'carnet-epoch': '1' };
    given(await client.label(planted, labels));
    given(await client.fill(planted, randomBytes(32)));
    const { release, acknowledged, roots } = await released(a, b, story);
    const { migration, epoch } = story.handover;
    const request = { migration, epoch, release, acknowledged: acknowledged.digest, roots };
    expect(await record(b, await b.keys.openRelease(request))).toMatchObject({ code: 'BARBICAN_SECRET_DIFFERS' });
    must(await within(b, (tx) => b.keys.discard(tx, { migration, epoch })));
    await b.keys.settleSecrets();
  });

  it('each status has its code', async () => {
    const client = clientOf();
    const nowhere = secretId.parse(randomUUID());
    expect(await client.payload(nowhere)).toMatchObject({ code: 'BARBICAN_SECRET_MISSING' });
    expect(await client.labels(nowhere)).toMatchObject({ code: 'BARBICAN_SECRET_MISSING' });
    expect(await client.destroy(nowhere)).toEqual({ ok: true, value: null });
    const secret = given(await client.create('full'));
    given(await client.fill(secret, randomBytes(32)));
    expect(await client.fill(secret, randomBytes(32))).toMatchObject({ code: 'BARBICAN_CONFLICT' });
    const large = given(await client.create('large'));
    expect(await client.fill(large, randomBytes(20_001))).toMatchObject({ code: 'BARBICAN_TOO_LARGE' });
    expect(await client.label(large, { UPPER: 'folded' })).toMatchObject({ ok: true });
    expect(given(await client.labels(large))).toEqual({ upper: 'folded' });
    // The project of a Barbican without Keystone is the request's word; a secret of another one is still closed to it.
    expect(await clientOf('project-c').payload(secret)).toMatchObject({ ok: false });
  });

  it('a full quota is a refusal, and nothing changes', async () => {
    const small = await startBarbican({ dir: join(scratch('barbican'), 'small'), secretsMax: 0 });
    const side = await openSide({ process: inlineProcess(), barbican: { url: small.url, project: PROJECT } });
    const { artifact, kind, derivation, capacityBytes } = firstOf(await begin(a, b));
    const wanted = { tenant: TENANT, artifact, kind, derivation, capacityBytes, reason: 'test' };
    expect(await record(side, await side.keys.createDek(wanted))).toMatchObject({ code: 'BARBICAN_QUOTA' });
    expect(await side.keys.list()).toEqual([]);
    await side.close();
    await small.stop();
  });
});
