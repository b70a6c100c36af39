import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createHostKeyPair, openForHost } from '../hosts.ts';
import {
  begin,
  deposited,
  granted,
  must,
  openSide,
  record,
  released,
  retiring,
  type Side,
  TENANT,
  within,
} from '../testing/two-sides.ts';

let a: Side;
let b: Side;
beforeAll(async () => {
  [a, b] = await Promise.all([openSide(), openSide()]);
}, 60_000);
afterAll(async () => {
  await a.close();
  await b.close();
});

/** The DEK as a host of this side would get it. */
async function dekAt(side: Side, story: Awaited<ReturnType<typeof begin>>, purpose: 'run' | 'trial-unlock'): Promise<string> {
  const host = await createHostKeyPair();
  const context = {
    domain: story.handover.target,
    host: 'h1',
    vm: story.handover.vm,
    epoch: story.handover.epoch,
    purpose,
  } as const;
  const disk = story.keys.filter(({ kind }) => kind === 'disk');
  const sealed = must(await side.keys.sealForHost({ context, keys: disk, publicKey: host.publicKey, grant: granted(story) }));
  const [opened] = must(await openForHost(host.privateKey, context, sealed));
  return opened?.dek.toString('hex') ?? 'none';
}

describe('a whole hand-over', () => {
  it('moves every key from A to B: deposit, acknowledge, release, open, import, retire', async () => {
    const story = await begin(a, b);
    const { migration, epoch } = story.handover;
    const before = await dekAt(a, story, 'run');
    const { release, acknowledged, roots } = await released(a, b, story);
    const [disk] = story.keys;
    if (disk === undefined) throw new Error('no disk');
    expect(must(await a.keys.show(disk)).state).toBe('suspended');

    const opened = must(
      await record(b, await b.keys.openRelease({ migration, epoch, release, acknowledged: acknowledged.digest, roots })),
    );
    expect(opened.map(({ key }) => key)).toEqual(story.keys.map(({ key }) => key));
    expect(must(await b.keys.show(disk)).state).toBe('pre-activation');
    expect(await dekAt(b, story, 'trial-unlock')).toBe(before);

    const imported = must(await within(b, (tx) => b.keys.importKeys(tx, { migration, epoch, release: release.digest })));
    expect(imported.keys).toEqual(opened);
    const view = must(await b.keys.show(disk));
    expect(view).toMatchObject({ state: 'active', origin: 'migrated', tenant: TENANT, consumers: [`vm:${story.handover.vm}`] });
    expect(view.provenance).toMatchObject({ migration, epoch, source: 'csp-a.example', release: release.digest });
    expect(view.history.map(({ to }) => to)).toEqual(['pre-activation', 'active']);
    expect(await dekAt(b, story, 'run')).toBe(before);

    must(await within(a, (tx) => a.keys.retire(tx, { ...retiring(story), cause: release.digest })));
    const gone = must(await a.keys.show(disk));
    expect(gone.state).toBe('destroyed');
    expect(gone.kekVersion).toBeUndefined();
    expect(gone.history.map(({ to }) => to)).toEqual(['pre-activation', 'active', 'suspended', 'destroyed']);
  }, 60_000);

  it('rolls back: B discards, A resumes with active keys', async () => {
    const story = await begin(a, b);
    const { migration, epoch } = story.handover;
    const before = await dekAt(a, story, 'run');
    await deposited(a, b, story);
    const destroyed = must(await within(b, (tx) => b.keys.discard(tx, { migration, epoch })));
    expect(destroyed).toEqual(story.keys.map(({ key }) => key));
    must(await within(a, (tx) => a.keys.resume(tx, { migration, epoch })));
    expect(await dekAt(a, story, 'run')).toBe(before);
  }, 60_000);
});
