import { GENESIS } from '@carnet/events';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createHostKeyPair } from '../hosts.ts';
import { onKeys } from '../records/tables.ts';
import {
  ACTOR,
  begin,
  granted,
  inlineProcess,
  must,
  newMigration,
  newVm,
  openSide,
  record,
  released,
  type Side,
  type Story,
  snapshot,
  within,
} from '../testing/two-sides.ts';
import type { HostContext } from '../vault/host.ts';
import type { Grant } from './grant.ts';

let a: Side;
let b: Side;
let host: Awaited<ReturnType<typeof createHostKeyPair>>;
beforeAll(async () => {
  [a, b] = await Promise.all([openSide({ process: inlineProcess() }), openSide({ process: inlineProcess() })]);
  host = await createHostKeyPair();
}, 60_000);
afterAll(async () => {
  await a.close();
  await b.close();
});

const OPERATOR = 'spiffe://csp-a.example/operator';
const START: Grant = { principal: OPERATOR, reason: 'VM_START' };
const disksOf = ({ keys }: Story) => keys.filter(({ kind }) => kind === 'disk');

const give = (side: Side, story: Story, grant: Grant, over: Partial<HostContext> = {}, keys = disksOf(story)) =>
  side.keys.sealForHost({
    context: { domain: story.handover.source, host: 'h1', vm: story.handover.vm, epoch: 0, purpose: 'run', ...over },
    keys,
    publicKey: host.publicKey,
    grant,
  });

describe('uses of a key', () => {
  it('each is one record, at both sides, in one chain from the beginning', async () => {
    const story = await begin(a, b);
    const [disk] = disksOf(story);
    if (disk === undefined) throw new Error('no disk');
    const { migration, epoch, vm } = story.handover;
    must(await give(a, story, START));
    must(await give(a, story, granted(story), { epoch, purpose: 'trial-unlock' }));
    const { release, acknowledged, roots } = await released(a, b, story);
    must(await record(b, await b.keys.openRelease({ migration, epoch, release, acknowledged: acknowledged.digest, roots })));
    must(await give(b, story, granted(story), { epoch, purpose: 'trial-unlock' }));
    must(await within(b, (tx) => b.keys.importKeys(tx, { migration, epoch, release: release.digest })));
    const atA = (await a.keys.usesOf(disk.key)).toReversed();
    expect(atA.map(({ operation, principal, reason }) => [operation, principal, reason])).toEqual([
      ['run', OPERATOR, 'VM_START'],
      ['trial-unlock', ACTOR, 'MIGRATION'],
      ['deposit', ACTOR, 'MIGRATION'],
      ['release', ACTOR, 'MIGRATION'],
    ]);
    expect(atA[0]?.context).toEqual({ vm, host: 'h1' });
    expect(atA[3]?.context).toEqual({ vm, migration, epoch, peer: 'csp-b.example' });
    expect(atA[0]?.prev).toBe(GENESIS);
    expect((await b.keys.usesOf(disk.key)).map(({ operation }) => operation)).toEqual(['import', 'trial-unlock']);
    for (const side of [a, b]) expect(await side.keys.verifyUses()).toEqual({ head: await side.keys.usesHead(), intact: true });
  });

  it.each<[string, (story: Story) => [Grant, Partial<HostContext>]]>([
    ['of a migration by somebody who is not the service', (s) => [{ ...granted(s), principal: OPERATOR }, { epoch: 1 }]],
    ['of a migration that it does not name', () => [{ principal: ACTOR, reason: 'MIGRATION' }, { epoch: 1 }]],
    ['of a migration outside any epoch', (s) => [granted(s), {}]],
    ['of a VM’s start by the service itself', () => [{ principal: ACTOR, reason: 'VM_START' }, {}]],
    ['of lost secrets by an operator', () => [{ principal: OPERATOR, reason: 'SECRETS_LOST' }, {}]],
    ['of a start inside a migration’s epoch', () => [START, { epoch: 1 }]],
    ['of a start for a trial unlock', () => [START, { purpose: 'trial-unlock' }]],
    ['of an image, where the key is a VM’s', () => [{ principal: OPERATOR, reason: 'IMAGE_COPY' }, {}]],
  ])('without a grant is refused: one %s', async (_name, wrong) => {
    const story = await begin(a, b);
    const before = await snapshot(a);
    expect(await give(a, story, ...wrong(story))).toMatchObject({ ok: false, code: 'KEY_USE_UNGRANTED' });
    expect(await snapshot(a)).toBe(before);
  });

  it('by a VM that does not need the key any more, or of a memory key for another migration, is refused', async () => {
    const story = await begin(a, b);
    const [disk] = disksOf(story);
    if (disk === undefined) throw new Error('no disk');
    await a.store.db.transaction().execute((tx) => a.keys.removeConsumer(tx, disk.key, `vm:${story.handover.vm}`));
    expect(await give(a, story, START)).toMatchObject({ code: 'KEY_USE_UNGRANTED' });
    expect(await give(a, story, START, { vm: newVm() })).toMatchObject({ code: 'KEY_BOUND_DIFFERS' });
    must(await record(a, await a.keys.deposit(story)));
    const memory = story.keys.filter(({ kind }) => kind === 'memory');
    const other = { ...granted(story), migration: newMigration() };
    expect(await give(a, story, other, { epoch: 1, purpose: 'seal' }, memory)).toMatchObject({ code: 'KEY_USE_UNGRANTED' });
    must(await give(a, story, granted(story), { epoch: 1, purpose: 'seal' }, memory));
  });
});

describe('the chain', () => {
  it('shows any change of any record, and any record that is missing', async () => {
    const story = await begin(a, b);
    for (let i = 0; i < 3; i++) must(await give(a, story, START));
    const db = onKeys(a.store.db);
    const all = await db.selectFrom('keys_uses').selectAll().orderBy('n').execute();
    const changes = [
      { principal: 'nobody' },
      { operation: 'unseal' },
      { context: JSON.stringify({ vm: newVm() }) },
      { reason: 'VM_CREATE' },
      { at: '2020-01-01T00:00:00.000Z' },
      { key: story.keys[1]?.key ?? '' },
      { digest: 'ab'.repeat(32) },
      { prev: 'ab'.repeat(32) },
    ];
    await fc.assert(
      fc.asyncProperty(fc.nat(all.length - 1), fc.nat(changes.length), async (at, which) => {
        const row = all[at];
        const change = changes[which];
        if (row === undefined) return;
        if (change === undefined) await db.deleteFrom('keys_uses').where('n', '=', row.n).execute();
        else await db.updateTable('keys_uses').set(change).where('n', '=', row.n).execute();
        const verdict = await a.keys.verifyUses();
        await db.deleteFrom('keys_uses').where('n', '=', row.n).execute();
        await db.insertInto('keys_uses').values(row).execute();
        expect(verdict).toMatchObject({ intact: false, brokenAt: row.n });
      }),
      { numRuns: 40 },
    );
    expect((await a.keys.verifyUses()).intact).toBe(true);
  });

  it('shows a cut end, and a head that was set back is seen by whoever noted it before', async () => {
    const noted = await a.keys.usesHead();
    const db = onKeys(a.store.db);
    const last = await db.selectFrom('keys_uses').selectAll().where('n', '=', noted.n).executeTakeFirstOrThrow();
    await db.deleteFrom('keys_uses').where('n', '=', noted.n).execute();
    expect(await a.keys.verifyUses()).toMatchObject({ intact: false, brokenAt: noted.n });
    await db
      .updateTable('keys_uses_head')
      .set({ n: noted.n - 1, digest: last.prev })
      .execute();
    expect((await a.keys.verifyUses()).head).not.toEqual(noted);
  });
});

describe('after the glass was broken', () => {
  it('the use of a memory key in a higher epoch is granted to the source, which may have broken the glass, and to nobody else', async () => {
    const story = await begin(a, b);
    const memory = story.keys.filter(({ kind }) => kind === 'memory');
    const { migration, epoch } = story.handover;
    const higher = { epoch: epoch + 1, purpose: 'unseal' } as const;
    const { release, acknowledged, roots } = await released(a, b, story);
    must(await within(a, (tx) => a.keys.resume(tx, { migration, epoch })));
    must(await give(a, story, granted(story), higher, memory));
    const other = { ...granted(story), migration: newMigration() };
    expect(await give(a, story, other, higher, memory)).toMatchObject({ code: 'KEY_USE_UNGRANTED' });
    must(await record(b, await b.keys.openRelease({ migration, epoch, release, acknowledged: acknowledged.digest, roots })));
    must(await within(b, (tx) => b.keys.importKeys(tx, { migration, epoch, release: release.digest })));
    expect(await give(b, story, granted(story), higher, memory)).toMatchObject({ code: 'KEY_USE_UNGRANTED' });
  });
});
