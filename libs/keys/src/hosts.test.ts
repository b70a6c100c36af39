import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createHostKeyPair, luksPassphrase, openForHost } from './hosts.ts';
import {
  begin,
  deposited,
  granted,
  inlineProcess,
  must,
  newVm,
  openSide,
  record,
  released,
  type Side,
  type Story,
  TENANT,
  within,
} from './testing/two-sides.ts';
import type { HostContext } from './vault/host.ts';

let a: Side;
let b: Side;
let story: Story;
let host: Awaited<ReturnType<typeof createHostKeyPair>>;
beforeAll(async () => {
  [a, b] = await Promise.all([openSide({ process: inlineProcess() }), openSide({ process: inlineProcess() })]);
  story = await begin(a, b);
  host = await createHostKeyPair();
}, 60_000);
afterAll(async () => {
  await a.close();
  await b.close();
});

const context = (over: Partial<HostContext> = {}): HostContext => ({
  domain: story.handover.source,
  host: 'h1',
  vm: story.handover.vm,
  epoch: 1,
  purpose: 'run',
  ...over,
});
const disk = () => story.keys.filter(({ kind }) => kind === 'disk');
const memory = () => story.keys.filter(({ kind }) => kind === 'memory');

describe('keys for a host', () => {
  it('open for the host, VM, epoch and purpose they were sealed for, and nothing else', async () => {
    const sealed = must(
      await a.keys.sealForHost({ context: context(), keys: disk(), publicKey: host.publicKey, grant: granted(story) }),
    );
    const opened = must(await openForHost(host.privateKey, context(), sealed));
    expect(opened.map(({ key, version }) => ({ key, version }))).toEqual(disk().map(({ key, version }) => ({ key, version })));
    expect(luksPassphrase(opened[0]?.dek ?? Buffer.alloc(0)).toString()).toBe(opened[0]?.dek.toString('hex'));
    const others: readonly Partial<HostContext>[] = [
      { host: 'h2' },
      { epoch: 2 },
      { vm: newVm() },
      { purpose: 'trial-unlock' },
      { domain: story.handover.target },
    ];
    for (const other of others)
      expect(await openForHost(host.privateKey, context(other), sealed)).toMatchObject({
        ok: false,
        code: 'HOST_CONTEXT_MISMATCH',
      });
    const stranger = await createHostKeyPair();
    expect(await openForHost(stranger.privateKey, context(), sealed)).toMatchObject({ code: 'HOST_CONTEXT_MISMATCH' });
    const renamed = { ...sealed, keys: memory().map(({ key, version }) => ({ key, version })) };
    expect(await openForHost(host.privateKey, context(), renamed)).toMatchObject({ code: 'HOST_CONTEXT_MISMATCH' });
    for (const malformed of [undefined, {}, { ...sealed, x: 1 }, { ...sealed, keys: [] }])
      expect(await openForHost(host.privateKey, context(), malformed)).toMatchObject({ code: 'HOST_SEAL_INVALID' });
  });

  it('are refused for another VM than theirs, for a memory key that should run, and for a bad public key', async () => {
    const seal = (over: Partial<HostContext>, keys = disk(), publicKey = host.publicKey) =>
      a.keys.sealForHost({ context: context(over), keys, publicKey, grant: granted(story) });
    expect(await seal({ vm: newVm() })).toMatchObject({ code: 'KEY_BOUND_DIFFERS' });
    for (const purpose of ['run', 'rekey'] as const)
      expect(await seal({ purpose }, memory())).toMatchObject({ code: 'PURPOSE_REFUSED' });
    expect(await seal({}, [])).toMatchObject({ code: 'INPUT_INVALID' });
  });

  it('a memory key seals for one command only', async () => {
    const seal = (over: Partial<HostContext>) =>
      a.keys.sealForHost({
        context: context({ purpose: 'seal', ...over }),
        keys: memory(),
        publicKey: host.publicKey,
        grant: granted(story),
      });
    expect((await seal({})).ok).toBe(true);
    expect((await seal({})).ok, 'the same command again').toBe(true);
    expect(await seal({ epoch: 2 })).toMatchObject({ code: 'MEMORY_KEY_USED' });
    expect(await seal({ host: 'h2' })).toMatchObject({ code: 'MEMORY_KEY_USED' });
  });

  it('a memory key serves one migration only', async () => {
    await deposited(a, b, story);
    must(await within(b, (tx) => b.keys.discard(tx, story.handover)));
    must(await within(a, (tx) => a.keys.resume(tx, story.handover)));
    const next = await begin(a, b, { vm: story.handover.vm });
    expect(await a.keys.deposit({ ...next, keys: story.keys })).toMatchObject({
      ok: false,
      code: 'MEMORY_KEY_USED',
    });
  });

  it('a suspended key goes to no host, a key in pre-activation to a trial unlock only', async () => {
    const moving = await begin(a, b);
    const { release, acknowledged, roots } = await released(a, b, moving);
    const keys = moving.keys.filter(({ kind }) => kind === 'disk');
    const at = (purpose: HostContext['purpose']) => ({
      context: context({ vm: moving.handover.vm, purpose }),
      keys,
      publicKey: host.publicKey,
      grant: granted(moving),
    });
    expect(await a.keys.sealForHost(at('run'))).toMatchObject({ code: 'PURPOSE_REFUSED', got: 'suspended' });
    expect(await a.keys.sealForHost(at('trial-unlock'))).toMatchObject({ code: 'PURPOSE_REFUSED' });
    expect(await b.keys.sealForHost(at('trial-unlock')), 'before the release B has no bytes').toMatchObject({
      code: 'KEY_STATE',
    });
    must(await record(b, await b.keys.openRelease({ ...moving.handover, release, acknowledged: acknowledged.digest, roots })));
    expect(await b.keys.sealForHost(at('run'))).toMatchObject({ code: 'PURPOSE_REFUSED', got: 'pre-activation' });
    expect((await b.keys.sealForHost(at('trial-unlock'))).ok).toBe(true);
  });
});

describe('key records', () => {
  it('a KEK is rotated and every key still opens', async () => {
    const before = must(
      await openForHost(
        host.privateKey,
        context(),
        must(await a.keys.sealForHost({ context: context(), keys: disk(), publicKey: host.publicKey, grant: granted(story) })),
      ),
    );
    const rotated = must(await a.keys.rotateKek({ tenant: TENANT, actor: 'operator', reason: 'yearly' }));
    expect(rotated).toMatchObject({ version: 2, left: 0, done: true, destroyed: [1] });
    expect(rotated.deks).toBeGreaterThan(0);
    const after = must(
      await openForHost(
        host.privateKey,
        context(),
        must(await a.keys.sealForHost({ context: context(), keys: disk(), publicKey: host.publicKey, grant: granted(story) })),
      ),
    );
    expect(after).toEqual(before);
    const kekVersions = (await a.keys.list({ vm: story.handover.vm })).map(({ kekVersion }) => kekVersion);
    expect(new Set(kekVersions)).toEqual(new Set([2]));
  });

  it('a key in use is not destroyed, an illegal step is refused, and history tells who and why', async () => {
    const [key] = disk();
    if (key === undefined) throw new Error('no disk');
    const change = (to: 'destroyed' | 'pre-activation' | 'compromised') =>
      within(a, (tx) => a.keys.changeState(tx, { ...key, to, reason: 'test' }));
    expect(await change('destroyed')).toMatchObject({ code: 'KEY_IN_USE', got: `vm:${story.handover.vm}` });
    expect(await change('pre-activation')).toMatchObject({ code: 'KEY_TRANSITION_ILLEGAL' });
    must(await change('compromised'));
    const view = must(await a.keys.show(key));
    expect(view.history.at(-1)).toMatchObject({
      from: 'active',
      to: 'compromised',
      reason: 'test',
    });
    expect(
      await a.keys.sealForHost({ context: context(), keys: disk(), publicKey: host.publicKey, grant: granted(story) }),
    ).toMatchObject({
      code: 'PURPOSE_REFUSED',
    });
  });
});
