import { epoch, hostName, type VmId } from '@carnet/events';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { CREATE_DEK } from './child/operations.ts';
import { vmConsumer } from './deks.ts';
import { createHostKeyPair } from './hosts.ts';
import { onKeys } from './records/tables.ts';
import {
  begin,
  deposited,
  granted,
  inlineProcess,
  must,
  newMigration,
  openSide,
  record,
  released,
  type Side,
  type Story,
  snapshot,
  someDigest,
  TENANT,
  within,
} from './testing/two-sides.ts';

let a: Side;
let b: Side;
beforeAll(async () => {
  [a, b] = await Promise.all([openSide({ process: inlineProcess() }), openSide({ process: inlineProcess() })]);
}, 60_000);
afterAll(async () => {
  await a.close();
  await b.close();
});

/** A key that arrived at B with its VM, imported and active. */
async function imported(begun?: Story) {
  const story = begun ?? (await begin(a, b));
  const { release, roots, acknowledged } = await released(a, b, story);
  const { migration, epoch, vm } = story.handover;
  const opened = await b.keys.openRelease({ migration, epoch, release, acknowledged: acknowledged.digest, roots });
  must(await record(b, opened));
  must(await within(b, (tx) => b.keys.importKeys(tx, { migration, epoch, release: release.digest })));
  const key = story.keys.find(({ kind }) => kind === 'disk');
  if (key === undefined) throw new Error('no disk');
  return { story, vm, key, wanted: { key: key.key, version: key.version, reason: 'full re-encryption', cause: someDigest() } };
}

const consumersOf = (vm: VmId): readonly string[] => [vmConsumer(vm)];

describe('a replacement', () => {
  it('is active, of our own making, with the VM as consumer, before the old key is touched', async () => {
    const { vm, key, wanted } = await imported();
    const made = must(await record(b, await b.keys.createReplacement(wanted)));
    expect(made).toMatchObject({
      state: 'active',
      origin: 'generated',
      artifact: key.artifact,
      replaces: { key: key.key, version: 1 },
    });
    expect(made.key).not.toBe(key.key);
    expect(must(await b.keys.show(made)).consumers).toEqual(consumersOf(vm));
    expect(must(await b.keys.show(key))).toMatchObject({ state: 'active', consumers: consumersOf(vm) });
  });

  it('is one, however often and by however many it is made', async () => {
    const { wanted } = await imported();
    const [one, other] = [await b.keys.createReplacement(wanted), await b.keys.createReplacement(wanted)];
    const first = must(await record(b, one));
    expect(must(await record(b, other)).key).toBe(first.key);
    expect(must(await record(b, await b.keys.createReplacement(wanted))).key).toBe(first.key);
  });

  it('that was made and not recorded leaves nothing; asked again, there is one', async () => {
    const { wanted } = await imported();
    const before = await snapshot(b);
    must(await b.keys.createReplacement(wanted));
    expect(await snapshot(b)).toBe(before);
    const made = must(await record(b, await b.keys.createReplacement(wanted)));
    expect((await b.keys.list({ vm: made.vm ?? '' })).filter(({ replaces }) => replaces?.key === wanted.key)).toHaveLength(1);
  });

  it('ends the old key: deactivated, destroyed, its bytes gone, twice the same', async () => {
    const { key, wanted } = await imported();
    const made = must(await record(b, await b.keys.createReplacement(wanted)));
    must(await within(b, (tx) => b.keys.endReplaced(tx, wanted)));
    const before = await snapshot(b);
    must(await within(b, (tx) => b.keys.endReplaced(tx, wanted)));
    expect(await snapshot(b)).toBe(before);
    const old = must(await b.keys.show(key));
    expect([old.state, old.consumers, old.kekVersion]).toEqual(['destroyed', [], undefined]);
    expect(old.history.slice(-2).map(({ to, cause }) => [to, cause])).toEqual([
      ['deactivated', wanted.cause],
      ['destroyed', wanted.cause],
    ]);
    expect(old.history.at(-1)?.reason).toContain(made.key);
    expect(must(await record(b, await b.keys.createReplacement(wanted))).key).toBe(made.key);
  });

  it('and the old key go to the host by the migration’s right only; uses and histories are chained', async () => {
    const { story, vm, key, wanted } = await imported();
    const made = must(await record(b, await b.keys.createReplacement(wanted)));
    const { publicKey } = await createHostKeyPair();
    const context = { domain: story.handover.target, host: hostName.parse('host-1'), vm, epoch: 1, purpose: 'rekey' } as const;
    const request = { context, keys: [key, made], publicKey };
    const other = await b.keys.sealForHost({ ...request, grant: { ...granted(story), principal: 'spiffe://csp-b.example/eve' } });
    expect(other).toMatchObject({ code: 'KEY_USE_UNGRANTED' });
    must(await b.keys.sealForHost({ ...request, grant: granted(story) }));
    for (const one of [key, made]) {
      expect((await b.keys.usesOf(one.key))[0]).toMatchObject({
        operation: 'rekey',
        context: { migration: story.handover.migration },
      });
      expect(must(await b.keys.show(one)).historyChain).toBe('intact');
    }
    expect(await b.keys.verifyUses()).toMatchObject({ intact: true });
  });

  it('that a rotation overtook is an accident, and is made anew under the new KEK', async () => {
    const { wanted } = await imported();
    const late = must(await b.keys.createReplacement(wanted));
    must(await b.keys.rotateKek({ tenant: TENANT, actor: 'eve', reason: 'yearly' }));
    await expect(within(b, late.record)).rejects.toMatchObject({ code: 'KEK_DESTROYED' });
    const made = must(await record(b, await b.keys.createReplacement(wanted)));
    expect(made.kekVersion).toBe(must(await b.keys.show(wanted)).kekVersion);
  });

  it('and the old key are destroyed when the VM goes back', async () => {
    const { story, key, wanted } = await imported();
    const made = must(await record(b, await b.keys.createReplacement(wanted)));
    const gone = must(await within(b, (tx) => b.keys.discard(tx, story.handover)));
    expect(gone).toEqual(expect.arrayContaining([key.key, made.key]));
    for (const one of [key, made]) expect(must(await b.keys.show(one))).toMatchObject({ state: 'destroyed', consumers: [] });
  });
});

describe('the end of a former arrival, in a database that was restored', () => {
  it('ends the key that came then, and not the one that took its place, which left and has come again', async () => {
    const { story, vm, key, wanted } = await imported();
    const made = must(await record(b, await b.keys.createReplacement(wanted)));
    must(await within(b, (tx) => b.keys.retire(tx, { migration: newMigration(), epoch: 2, vm, keys: [made] })));
    const { artifact, capacityBytes, derivation } = key;
    const disk = {
      key: made.key,
      tenant: TENANT,
      vm,
      artifact,
      kind: 'disk',
      derivation,
      capacityBytes,
      reason: 'test',
    } as const;
    must(await record(a, await a.keys.createDek(disk)));
    const begun = await begin(a, b, { vm, epoch: epoch.parse(3) });
    await imported({ ...begun, keys: [{ ...key, key: made.key }], disks: [{ artifact, key: made.key, capacityBytes }] });
    const migrations = [story.handover.migration, begun.handover.migration];
    expect(await b.keys.stillHoldingOf(migrations), 'both').toHaveLength(2);

    must(await within(b, (tx) => b.keys.discard(tx, story.handover)));

    expect(must(await b.keys.show(key))).toMatchObject({ state: 'destroyed', consumers: [] });
    expect(must(await b.keys.show(made))).toMatchObject({ arrival: 3, state: 'active', consumers: consumersOf(vm) });
    expect(await b.keys.stillHoldingOf(migrations)).toEqual([begun.handover.migration]);
  });

  it('ends what was acknowledged and, here, not imported yet; and no later holding of the same key', async () => {
    const story = await begin(a, b);
    const { vm, migration } = story.handover;
    await deposited(a, b, story);
    const [key] = story.keys;
    if (key === undefined) throw new Error('no key');
    // By its spare it came again, and the rows of before are still to go.
    await b.store.db.transaction().execute(async (tx) => {
      const rows = onKeys(tx);
      const row = await rows.selectFrom('keys_holdings').selectAll().where('key', '=', key.key).executeTakeFirstOrThrow();
      await rows
        .insertInto('keys_holdings')
        .values({ ...row, arrival: 3 })
        .execute();
      await b.keys.addConsumer(tx, key.key, vmConsumer(vm));
    });
    expect(await b.keys.stillHoldingOf([migration])).toEqual([migration]);
    must(await within(b, (tx) => b.keys.discard(tx, story.handover)));
    expect(await b.keys.stillHoldingOf([migration])).toEqual([]);
    expect(must(await b.keys.show(key))).toMatchObject({ arrival: 3, state: 'pre-activation', consumers: consumersOf(vm) });
  });
});

describe('refused, and nothing is changed:', () => {
  const unchanged = async (work: () => Promise<unknown>): Promise<unknown> => {
    const before = await snapshot(b);
    const result = await work();
    expect(await snapshot(b)).toBe(before);
    return result;
  };

  it('an unknown key', async () => {
    const { wanted } = await imported();
    const unknown = { ...wanted, version: 9 };
    expect(await unchanged(() => b.keys.createReplacement(unknown))).toMatchObject({ code: 'KEY_UNKNOWN' });
    expect(await unchanged(() => within(b, (tx) => b.keys.endReplaced(tx, unknown)))).toMatchObject({ code: 'KEY_UNKNOWN' });
  });

  it('a key that is not active, also when it was when the replacement was made', async () => {
    const { key, wanted } = await imported();
    const prepared = await b.keys.createReplacement(wanted);
    must(await within(b, (tx) => b.keys.changeState(tx, { ...key, to: 'suspended', reason: 'by an operator' })));
    expect(await unchanged(() => record(b, prepared))).toMatchObject({ code: 'KEY_STATE' });
    expect(await unchanged(() => b.keys.createReplacement(wanted))).toMatchObject({ code: 'KEY_STATE' });
  });

  it('ending a key that has no replacement, or another consumer', async () => {
    const { key, wanted } = await imported();
    const end = () => within(b, (tx) => b.keys.endReplaced(tx, wanted));
    expect(await unchanged(end)).toMatchObject({ code: 'KEY_STATE' });
    must(await record(b, await b.keys.createReplacement(wanted)));
    await b.store.db.transaction().execute((tx) => b.keys.addConsumer(tx, key.key, 'vm:another'));
    expect(await unchanged(end)).toMatchObject({ code: 'KEY_IN_USE' });
  });

  it('no child, no key: an accident in the vault leaves nothing', async () => {
    const broken = inlineProcess();
    const c = await openSide({
      process: {
        ...broken,
        call: async (operation, input, secret) => {
          if (operation.name === CREATE_DEK.name && armed) throw new Error('the child died');
          return broken.call(operation, input, secret);
        },
      },
    });
    let armed = false;
    try {
      const made = must(
        await record(
          c,
          await c.keys.createDek({
            tenant: 'shop' as never,
            artifact: '2b4e28ba-2fa1-41d2-883f-0016d3cca427' as never,
            kind: 'disk',
            derivation: 'luks-passphrase-hex',
            capacityBytes: 4_096,
            reason: 'test',
          }),
        ),
      );
      armed = true;
      const before = await snapshot(c);
      await expect(c.keys.createReplacement({ ...made, reason: 'test', cause: someDigest() })).rejects.toThrow('the child died');
      expect(await snapshot(c)).toBe(before);
    } finally {
      await c.close();
    }
  });
});
