import { execFileSync } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { join } from 'node:path';
import { createDatabase, type Postgres, scratch, startPostgres } from '@carnet/dev';
import { artifactId } from '@carnet/events';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createHostKeyPair, openForHost } from './hosts.ts';
import { onKeys } from './records/tables.ts';
import { KeysError } from './result.ts';
import {
  begin,
  granted,
  holdsSecret,
  must,
  openReplica,
  openSide,
  record,
  released,
  type Side,
  within,
} from './testing/two-sides.ts';
import { type Tenant, tenant } from './vault/hierarchy.ts';

let postgres: Postgres;
let a: Side;
let second: Side;
let b: Side;
let urlA: string;
beforeAll(async () => {
  postgres = await startPostgres({ dir: join(scratch('keys'), 'pg') });
  urlA = await createDatabase(postgres.url, 'keys_a');
  const urlB = await createDatabase(postgres.url, 'keys_b');
  a = await openSide({ target: { url: urlA } });
  b = await openSide({ target: { url: urlB } });
  second = await openReplica(a, { url: urlA });
});
afterAll(async () => {
  for (const side of [second, a, b]) await side?.close();
  await postgres?.stop();
});

describe('on PostgreSQL', () => {
  it('a whole hand-over, and the dump holds no key', async () => {
    const story = await begin(a, b);
    const { migration, epoch, vm, source } = story.handover;
    const host = await createHostKeyPair();
    const context = { domain: source, host: 'h1', vm, epoch, purpose: 'trial-unlock' } as const;
    const sealed = must(
      await a.keys.sealForHost({ context, keys: story.keys, publicKey: host.publicKey, grant: granted(story) }),
    );
    const deks = must(await openForHost(host.privateKey, context, sealed));
    const { release, acknowledged, roots } = await released(a, b, story);
    must(await record(b, await b.keys.openRelease({ migration, epoch, release, acknowledged: acknowledged.digest, roots })));
    must(await within(b, (tx) => b.keys.importKeys(tx, { migration, epoch, release: release.digest })));
    const arrived = must(
      await openForHost(
        host.privateKey,
        context,
        must(await b.keys.sealForHost({ context, keys: story.keys, publicKey: host.publicKey, grant: granted(story) })),
      ),
    );
    expect(arrived).toEqual(deks);
    const dumps = ['keys_a', 'keys_b'].map((name) =>
      execFileSync('pg_dump', ['--dbname', postgres.url.replace('/postgres?', `/${name}?`)]),
    );
    for (const dump of dumps) {
      expect(dump.includes('keys_holdings')).toBe(true);
      for (const { dek } of deks) expect(holdsSecret(dump, dek)).toBe(false);
    }
  });

  it('two replicas that deposit and release at once commit one set of bytes', async () => {
    const story = await begin(a, b);
    const [one, two] = await Promise.all([a.keys.deposit(story), second.keys.deposit(story)]);
    const [first, other] = await Promise.all([record(a, one), record(second, two)]);
    expect(must(first)).toEqual(must(other));
  });

  it('of two different deposits at once, one is refused', async () => {
    const story = await begin(a, b);
    const [one, two] = await Promise.all([
      a.keys.deposit(story),
      second.keys.deposit({ ...story, keys: story.keys.slice(0, 1) }),
    ]);
    const both = await Promise.all([record(a, one), record(second, two)]);
    expect(both.filter(({ ok }) => ok)).toHaveLength(1);
    expect(both.find(({ ok }) => !ok)).toMatchObject({ code: 'SECOND_DEPOSIT' });
  });

  it('two replicas that start a tenant at once share one KEK', async () => {
    const [one, two] = await Promise.all([begin(a, b), begin(second, b)]);
    const versions = await Promise.all(
      [one, two].map(async ({ keys }) => must(await a.keys.show(keys[0] ?? raise())).kekVersion),
    );
    expect(versions).toEqual([1, 1]);
  });
});

/** More than one batch, and some that come while a rotation runs. */
const MANY = 520;
const FEW = 60;

/** As callers do: what a rotation overtook is made again. */
async function makeKey(project: Tenant): Promise<void> {
  const wanted = {
    tenant: project,
    artifact: artifactId.parse(randomUUID()),
    kind: 'disk',
    derivation: 'luks-passphrase-hex',
    capacityBytes: 0,
    reason: 'one of many',
  } as const;
  for (;;) {
    try {
      must(await record(a, await a.keys.createDek(wanted)));
      return;
    } catch (error) {
      if (!(error instanceof KeysError) || error.code !== 'KEK_DESTROYED') throw error;
    }
  }
}
const makeKeys = (project: Tenant, count: number) => Promise.all(Array.from({ length: count }, () => makeKey(project)));

describe('rotation on PostgreSQL', () => {
  it('goes on after a crash between batches, and two replicas at once, with keys being made meanwhile, leave none', async () => {
    const project = tenant.parse(`p-${randomUUID()}`);
    const rotation = { tenant: project, actor: 'custodian', reason: 'yearly' };
    await makeKeys(project, MANY);
    const first = must(await a.keys.rotateSome(rotation));
    expect(first).toMatchObject({ version: 2, deks: 500, left: MANY - 500, done: false, destroyed: [] });
    // The first is no more: another replica begins, and finds what was begun.
    const after = must(await second.keys.rotateSome(rotation));
    expect(after).toMatchObject({ version: 2, deks: MANY, left: 0, done: true, destroyed: [1] });

    const [one, two] = await Promise.all([a.keys.rotateKek(rotation), second.keys.rotateKek(rotation), makeKeys(project, FEW)]);
    expect(must(one)).toMatchObject({ left: 0, done: true });
    expect(must(two)).toMatchObject({ left: 0, done: true });
    // Every single one still opens: a rotation re-wraps all, or says which does not.
    const last = must(await second.keys.rotateKek(rotation));
    expect(last).toMatchObject({ deks: MANY + FEW, left: 0, done: true });
    const versions = (await a.keys.list({ tenant: project })).map(({ kekVersion }) => kekVersion);
    expect(new Set(versions)).toEqual(new Set([last.version]));
    const keks = await onKeys(a.store.db).selectFrom('keys_keks').selectAll().where('tenant', '=', project).execute();
    expect(keks.filter(({ wrapped }) => wrapped !== null).map(({ version }) => version)).toEqual([last.version]);
  });

  it('uses of both replicas stand in one chain', async () => {
    const stories = await Promise.all(Array.from({ length: 4 }, () => begin(a, b)));
    await Promise.all(stories.map(async (story, i) => record(i % 2 === 0 ? a : second, await a.keys.deposit(story))));
    expect(await second.keys.verifyUses()).toMatchObject({ intact: true });
  });
});

function raise(): never {
  throw new Error('no key');
}
