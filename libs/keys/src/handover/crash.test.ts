import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import {
  begin,
  deposited,
  digestOfData,
  inlineProcess,
  must,
  openSide,
  record,
  released,
  retiring,
  rootsOf,
  type Side,
  snapshot,
  someDigest,
  within,
} from '../testing/two-sides.ts';

let a: Side;
let b: Side;
beforeAll(async () => {
  [a, b] = await Promise.all([openSide({ process: inlineProcess() }), openSide({ process: inlineProcess() })]);
}, 60_000);
afterAll(async () => {
  await a.close();
  await b.close();
});

// Each effect twice: "not recorded" (the transaction was lost) and "recorded, then asked again".
describe('after a crash', () => {
  it('a deposit that was not recorded left nothing; a recorded one is answered with the same bytes', async () => {
    const story = await begin(a, b);
    const before = await snapshot(a);
    must(await a.keys.deposit(story));
    expect(await snapshot(a)).toBe(before);
    const first = must(await record(a, await a.keys.deposit(story)));
    expect(must(await record(a, await a.keys.deposit(story)))).toEqual(first);
  });

  it('of two deposits prepared at once, the one recorded first counts for both', async () => {
    const story = await begin(a, b);
    const [one, two] = [must(await a.keys.deposit(story)), must(await a.keys.deposit(story))];
    const first = must(await within(a, one.record));
    expect(must(await within(a, two.record))).toEqual(first);
  });

  it('key pair and acknowledgement are answered with the same bytes', async () => {
    const story = await begin(a, b);
    const pair = {
      migration: story.handover.migration,
      epoch: story.handover.epoch,
      tenant: must(await a.keys.show(story.keys[0] ?? fail())).tenant,
    };
    expect(must(await record(b, await b.keys.createMigrationKeyPair(pair))).publicKey).toBe(story.handover.publicKey);
    const { deposit, acknowledged } = await deposited(a, b, story);
    const again = await b.keys.acknowledge({ handover: story.handover, deposit, artifacts: story.disks });
    expect(must(await record(b, again))).toEqual(acknowledged.data);
  });

  it('a release that was not recorded suspends nothing; a recorded one is answered with the same bytes', async () => {
    const story = await begin(a, b);
    const { deposit, acknowledged } = await deposited(a, b, story);
    const { migration, epoch } = story.handover;
    const cites = {
      ready: someDigest(),
      sealed: someDigest(),
      verified: someDigest(),
      deposit: deposit.digest,
      acknowledged: acknowledged.digest,
    };
    const request = { migration, epoch, ...cites, roots: rootsOf(story) };
    const before = await snapshot(a);
    const lost = must(await a.keys.release(request));
    expect(await snapshot(a)).toBe(before);
    const first = must(await record(a, await a.keys.release(request)));
    expect(must(await record(a, await a.keys.release(request)))).toEqual(first);
    expect(must(await within(a, lost.record)), 'a replica that was late').toEqual(first);
    expect(await record(a, await a.keys.release({ ...request, sealed: someDigest() }))).toMatchObject({ code: 'SECOND_RELEASE' });
    expect(await record(a, await a.keys.release({ ...request, epoch: 2 }))).toMatchObject({ code: 'DEPOSIT_UNKNOWN' });
  });

  it('import, discard, resume and retire asked twice answer the same', async () => {
    const story = await begin(a, b);
    const { migration, epoch } = story.handover;
    const { release, acknowledged, roots } = await released(a, b, story);
    const open = { migration, epoch, release, acknowledged: acknowledged.digest, roots };
    const opened = must(await record(b, await b.keys.openRelease(open)));
    expect(must(await record(b, await b.keys.openRelease(open)))).toEqual(opened);
    const twice = async <T>(ask: () => Promise<T>): Promise<void> => expect(await ask()).toEqual(await ask());
    await twice(() => within(b, (tx) => b.keys.importKeys(tx, { migration, epoch, release: release.digest })));
    await twice(() => within(a, (tx) => a.keys.retire(tx, retiring(story))));
    expect(await within(a, (tx) => a.keys.resume(tx, { migration, epoch }))).toMatchObject({ code: 'DEPOSIT_STATE' });
    expect(await b.keys.undiscardedOf([migration])).toEqual([migration]);
    expect(await b.keys.stillHoldingOf([migration])).toEqual([migration]);
    const held = await b.keys.undestroyedOf(story.keys.map(({ key }) => key));
    expect(held.toSorted()).toEqual(story.keys.map(({ key }) => key).toSorted());
    await twice(() => within(b, (tx) => b.keys.discard(tx, { migration, epoch })));
    expect(await b.keys.undiscardedOf([migration])).toEqual([]);
    expect(await b.keys.stillHoldingOf([migration])).toEqual([]);
    expect(await b.keys.undestroyedOf(story.keys.map(({ key }) => key))).toEqual([]);
    const gone = await within(b, (tx) => b.keys.importKeys(tx, { migration, epoch, release: release.digest }));
    expect(gone).toMatchObject({ code: 'IMPORT_STATE', got: 'discarded' });
  });
});

describe('a memory key', () => {
  it('is destroyed once the VM runs at B, on both sides, and A can still retire', async () => {
    const story = await begin(a, b);
    const { migration, epoch } = story.handover;
    const { release, acknowledged, roots } = await released(a, b, story);
    must(await record(b, await b.keys.openRelease({ migration, epoch, release, acknowledged: acknowledged.digest, roots })));
    must(await within(b, (tx) => b.keys.importKeys(tx, { migration, epoch, release: release.digest })));
    const memory = story.keys.find(({ kind }) => kind === 'memory') ?? fail();
    const spent = { ...memory, to: 'destroyed', reason: 'the VM runs' } as const;
    for (const side of [a, b]) expect(must(await within(side, (tx) => side.keys.changeState(tx, spent))).state).toBe('destroyed');
    expect((await within(a, (tx) => a.keys.retire(tx, retiring(story)))).ok).toBe(true);
  });
});

describe('there and back again', () => {
  it('a VM that returns brings the same key to the CSP that destroyed it', async () => {
    const out = await begin(a, b);
    const { migration, epoch, vm } = out.handover;
    const { release, acknowledged, roots } = await released(a, b, out);
    must(await record(b, await b.keys.openRelease({ migration, epoch, release, acknowledged: acknowledged.digest, roots })));
    must(await within(b, (tx) => b.keys.importKeys(tx, { migration, epoch, release: release.digest })));
    must(await within(a, (tx) => a.keys.retire(tx, retiring(out))));
    const fresh = await begin(b, a, { vm });
    const back = { ...fresh, keys: out.keys.filter(({ kind }) => kind === 'disk'), disks: out.disks };
    const early = must(await record(b, await b.keys.deposit(back)));
    const request = { handover: back.handover, deposit: { digest: digestOfData(early), data: early }, artifacts: back.disks };
    expect((await record(a, await a.keys.acknowledge(request))).ok).toBe(true);
    const view = must(await a.keys.show(out.keys[0] ?? fail()));
    expect(view).toMatchObject({ arrival: back.handover.epoch, state: 'pre-activation' });
    expect(view.history.map(({ arrival, to }) => `${arrival} ${to}`)).toEqual([
      '0 pre-activation',
      '0 active',
      '0 suspended',
      '0 destroyed',
      `${back.handover.epoch} pre-activation`,
    ]);
    const disk = out.keys[0] ?? fail();
    const ofDisk = (records: readonly { readonly key: string; readonly arrival: number; readonly state: string }[]) =>
      records.filter(({ key }) => key === disk.key).map(({ arrival, state }) => [arrival, state]);
    expect(ofDisk(view.holdings)).toEqual([
      [back.handover.epoch, 'pre-activation'],
      [0, 'destroyed'],
    ]);
    expect(ofDisk(await a.keys.list({ only: 'newest' })), 'the holding that counts').toEqual([
      [back.handover.epoch, 'pre-activation'],
    ]);
    expect(ofDisk(await a.keys.list()).length).toBe(2);
  });
});

function fail(): never {
  throw new Error('no key');
}
