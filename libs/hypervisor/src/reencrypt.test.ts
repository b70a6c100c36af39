import { describe, expect, it } from 'vitest';
import { failed } from './codes.ts';
import { fakeNetwork } from './fake/artifacts.ts';
import type { FaultPlan } from './fake/faults.ts';
import type { FakeHost } from './fake/host.ts';
import { readFakeVolume } from './fake/volumes.ts';
import {
  ask,
  CAPACITY,
  DISK,
  draft,
  hostA,
  hostB,
  KEY,
  NEW_KEY,
  NEW_SECRET,
  NEW_SECRETS,
  ofEpoch,
  SECRET,
  SECRETS,
  UUID,
  VM,
  VTPM,
} from './testing/drive.ts';
import { createRunning, moves, play } from './testing/journey.ts';

const passphraseOf = (fill: number): Uint8Array => Buffer.from(Buffer.alloc(32, fill).toString('hex'));
const [OLD, NEW] = [passphraseOf(7), passphraseOf(8)];
const volumesOf = (more: object = {}) => [{ artifact: DISK, capacityBytes: CAPACITY, from: SECRET, to: NEW_SECRET, ...more }];
const reencrypt = (host: FakeHost, more: object = {}, of: object = {}) =>
  ask(host.agent, 'b1', 'reencrypt', { volumes: volumesOf(more) }, { ...ofEpoch(1), ...of });
const placeOf = (host: FakeHost): string => host.ports.paths.volume(VM, DISK);
const opens = async (host: FakeHost, passphrase: Uint8Array): Promise<boolean> =>
  (await host.ports.volumes.unlock(placeOf(host), passphrase)).ok;
const ticksAt = ({ hypervisor }: FakeHost): number => hypervisor.guest(UUID)?.ticks ?? 0;

/** A target on which the VM has arrived, and runs. */
async function running(faults: FaultPlan = () => undefined): Promise<FakeHost> {
  const network = fakeNetwork();
  const [source, target] = [hostA({ network }), hostB({ network, faults })];
  await createRunning({ host: source, name: 'a1' });
  const all = moves('cold', target.leaf, source.leaf);
  const sides = { source: { host: source, name: 'a1' }, target: { host: target, name: 'b1' } };
  await play(sides, all.slice(0, all.findIndex(({ step }) => step === 'observe') + 1), 1);
  return target;
}

describe('a running VM whose volumes are encrypted again', () => {
  it('goes on on a volume with another volume key, which the old passphrase does not open; the host testifies to both headers', async () => {
    const host = await running();
    const [before, boot] = [await readFakeVolume(host.files, placeOf(host)), host.hypervisor.guest(UUID)?.boot];
    const reply = await reencrypt(host);
    expect(reply).toMatchObject({ status: 'done', result: { step: 'reencrypt', volumes: [{ artifact: DISK }] } });
    expect([await opens(host, NEW), await opens(host, OLD)]).toEqual([true, false]);
    const after = await readFakeVolume(host.files, placeOf(host));
    expect(after?.volumeKey).not.toBe(before?.volumeKey);
    expect(host.hypervisor.guest(UUID)?.boot).toBe(boot);
    expect(await host.hypervisor.find(UUID)).toMatchObject({ state: 'running' });
    const testimony =
      reply.status === 'done' ? JSON.parse(Buffer.from(reply.evidence?.payload ?? '', 'base64').toString('utf8')) : undefined;
    expect(testimony).toMatchObject({ kind: 'reencrypted', facts: { method: 'full-online', artifact0: DISK, volumes: 1 } });
    expect(testimony.facts.before0).not.toBe(testimony.facts.after0);
  });

  it('starts again with its new key alone, and then has one name for each volume', async () => {
    const host = await running();
    await reencrypt(host);
    const ticks = ticksAt(host);
    expect([await host.hypervisor.hasSecret(KEY), await host.hypervisor.hasSecret(NEW_KEY)]).toEqual([false, true]);
    await ask(host.agent, 'b1', 'stopVm', { graceSeconds: 1 });
    expect(await ask(host.agent, 'b1', 'startVm', { secrets: NEW_SECRETS })).toMatchObject({ status: 'done' });
    const named = host.files.paths().filter((path) => path.startsWith('/v/') && path.includes(DISK));
    expect(named).toEqual([placeOf(host)]);
    // The guest wrote its count into the volume that it has now.
    expect((await readFakeVolume(host.files, placeOf(host)))?.marker).toMatch(/n=/);
    expect(ticks).toBeGreaterThan(0);
  });

  it('that has stopped by itself is encrypted again as it lies, and stays off', async () => {
    const host = await running();
    await host.hypervisor.requestShutdown(UUID);
    expect(await reencrypt(host)).toMatchObject({ status: 'done' });
    expect([await opens(host, NEW), await opens(host, OLD)]).toEqual([true, false]);
    expect(await host.hypervisor.find(UUID)).toMatchObject({ state: 'shutoff' });
    expect(host.files.paths().filter((path) => /\.(reencrypted|replaced)$/.test(path))).toEqual([]);
  });

  it('whose copy ends by itself runs on as it was, and is asked for again', async () => {
    let looks = 0;
    const host = await running((operation) => {
      if (operation !== 'hypervisor.disk') return undefined;
      looks += 1;
      if (looks === 2) host.hypervisor.endCopies(UUID);
      return undefined;
    });
    expect(await reencrypt(host)).toMatchObject({ status: 'failed', code: 'TOOL_FAILED' });
    expect([await opens(host, OLD), (await host.hypervisor.find(UUID))?.state]).toEqual([true, 'running']);
    expect(await reencrypt(host, {}, { attempt: 2 })).toMatchObject({ status: 'done' });
  });

  it.each([
    'files.flush',
    'files.rename',
    'files.alias',
  ])('that a crash left at rest before %s and is started instead of asked for again loses nothing', async (effect) => {
    let isArmed = false;
    const host = await running((operation) => {
      if (!isArmed || operation !== effect) return undefined;
      isArmed = false;
      return { when: 'before', setback: failed('DISK_FAILED') };
    });
    isArmed = true;
    expect(await reencrypt(host)).toMatchObject({ status: 'failed', code: 'DISK_FAILED' });
    expect(await host.hypervisor.find(UUID)).toMatchObject({ state: 'paused' });
    host.restart();
    expect(await ask(host.agent, 'b1', 'startVm', { secrets: SECRETS })).toMatchObject({ status: 'done' });
    for (let looks = 0; looks < 3; looks++) await host.hypervisor.find(UUID);
    const ticks = ticksAt(host);
    await host.hypervisor.powerOff(UUID);
    expect(await reencrypt(host, {}, { attempt: 2 })).toMatchObject({ status: 'done' });
    expect((await readFakeVolume(host.files, placeOf(host)))?.marker).toMatch(new RegExp(` n=${ticks}$`));
    expect([await opens(host, NEW), await opens(host, OLD)]).toEqual([true, false]);
  });

  it('whose copy never gets ready can be looked at, and stopped at once; it is encrypted again as it lies', async () => {
    const host = await running();
    const { disk } = host.hypervisor;
    host.hypervisor.disk = async (uuid, target) => {
      const facts = await disk(uuid, target);
      return facts?.copy === undefined ? facts : { ...facts, copy: { ...facts.copy, state: 'copying' } };
    };
    const command = draft('b1', 'reencrypt', { volumes: volumesOf() }, ofEpoch(1));
    expect(await host.agent.handle(command)).toMatchObject({ status: 'running', progress: { totalBytes: CAPACITY } });
    expect(await ask(host.agent, 'b1', 'inspect', {})).toMatchObject({ status: 'done', result: { state: 'running' } });
    expect(await ask(host.agent, 'b1', 'stopVm', { graceSeconds: 0 })).toMatchObject({ status: 'done' });
    expect(await host.agent.handle(command)).toMatchObject({ status: 'failed', code: 'STEP_ABORTED', retryable: true });
    expect(await opens(host, OLD)).toBe(true);
    expect(await reencrypt(host, {}, { attempt: 2 })).toMatchObject({ status: 'done' });
    expect([await opens(host, NEW), await opens(host, OLD)]).toEqual([true, false]);
  });

  it('that is to be stopped while it stands still for its new volume goes on first, on that volume', async () => {
    let [isArmed, stopped]: [boolean, ReturnType<typeof ask> | undefined] = [false, undefined];
    const states: (string | undefined)[] = [];
    const host = await running((operation) => {
      if (isArmed && operation === 'files.rename') stopped ??= ask(host.agent, 'b1', 'stopVm', { graceSeconds: 1 });
      return undefined;
    });
    const { requestShutdown } = host.hypervisor;
    host.hypervisor.requestShutdown = async (uuid) => {
      states.push((await host.hypervisor.find(uuid))?.state);
      return requestShutdown(uuid);
    };
    isArmed = true;
    expect(await reencrypt(host)).toMatchObject({ status: 'done' });
    expect(await stopped).toMatchObject({ status: 'done' });
    expect(states).toEqual(['running']);
    expect([await opens(host, NEW), await opens(host, OLD)]).toEqual([true, false]);
  });

  it('that cannot be moved to its copy runs on, and is not left standing', async () => {
    let isRefused = true;
    const host = await running((operation) =>
      isRefused && operation === 'hypervisor.pivotDisk' ? { when: 'before', setback: failed('LIBVIRT_FAILED') } : undefined,
    );
    expect(await reencrypt(host)).toMatchObject({ status: 'failed', code: 'LIBVIRT_FAILED' });
    expect(await host.hypervisor.find(UUID)).toMatchObject({ state: 'running' });
    isRefused = false;
    expect(await reencrypt(host, {}, { attempt: 2 })).toMatchObject({ status: 'done' });
  });
});

describe('a crash at every effect', () => {
  const EFFECTS =
    /^(hypervisor\.(?!find|list|hasSecret|disk)|volumes\.(?!unlock)|files\.(write|append|rename|alias|remove|blank|flush))/;

  /** Fails the n-th effect of the step, restarts the agent, and asks until it is done. */
  async function crashed(n: number, when: 'before' | 'after', off: 'running' | 'off') {
    let [isArmed, seen, runsElsewhere] = [false, 0, false];
    const host = await running((operation) => {
      if (!isArmed) return undefined;
      if (operation === 'hypervisor.unpause') runsElsewhere ||= !host.files.paths().includes(placeOf(host));
      if (!EFFECTS.test(operation)) return undefined;
      seen += 1;
      return seen === n ? { when, setback: failed('STEP_ABORTED', operation) } : undefined;
    });
    if (off === 'off') await host.hypervisor.requestShutdown(UUID);
    isArmed = true;
    const { boot } = host.hypervisor.guest(UUID) ?? {};
    let reply = await reencrypt(host);
    for (let attempt = 2; attempt < 6 && reply.status !== 'done'; attempt++) {
      host.restart();
      reply = await reencrypt(host, {}, { attempt });
    }
    return { host, reply, seen, boot, runsElsewhere };
  }

  it.each([
    ['before', 'running'],
    ['after', 'running'],
    ['before', 'off'],
    ['after', 'off'],
  ] as const)('%s it was done, of a VM that is %s: the same end, and never on a volume that is not in its place', async (when, off) => {
    const { seen: effects } = await crashed(Number.POSITIVE_INFINITY, when, off);
    expect(effects).toBeGreaterThan(8);
    for (let n = 1; n <= effects; n++) {
      const { host, reply, boot, runsElsewhere } = await crashed(n, when, off);
      expect(reply.status, `crash ${n}`).toBe('done');
      expect([await opens(host, NEW), await opens(host, OLD), runsElsewhere], `crash ${n}`).toEqual([true, false, false]);
      expect((await host.hypervisor.find(UUID))?.state, `crash ${n}`).toBe(off === 'off' ? 'shutoff' : 'running');
      expect(host.hypervisor.guest(UUID)?.boot, `crash ${n}`).toBe(boot);
      expect(
        host.files.paths().filter((path) => path.endsWith('.replaced')),
        `crash ${n}`,
      ).toEqual([]);
    }
  });
});

describe('refusals change nothing', () => {
  it.each<[string, string, (host: FakeHost) => ReturnType<typeof reencrypt>]>([
    ['of another epoch', 'VM_NOT_HERE', (host) => reencrypt(host, {}, ofEpoch(2))],
    ['a disk that the VM has not', 'ARTIFACT_MISSING', (host) => reencrypt(host, { artifact: VTPM })],
    ['a key that is none', 'SECRET_REFUSED', (host) => reencrypt(host, { to: { ...NEW_SECRET, sealed: 'AAAA' } })],
  ])('%s', async (_, code, asked) => {
    const host = await running();
    const before = host.files.paths();
    expect(await asked(host)).toMatchObject({ status: 'refused', code });
    expect([host.files.paths(), await opens(host, OLD)]).toEqual([before, true]);
  });

  it('where there is no room for a second copy, and the VM runs on', async () => {
    const host = await running();
    Object.assign(host.files, { freeBytes: async () => 1 });
    expect(await reencrypt(host)).toMatchObject({ status: 'refused', code: 'NO_ROOM' });
    expect([await opens(host, OLD), (await host.hypervisor.find(UUID))?.state]).toEqual([true, 'running']);
  });

  it('a VM that was given away', async () => {
    const host = await running();
    await ask(host.agent, 'b1', 'quiesce', { mode: 'cold', graceSeconds: 1 }, ofEpoch(2));
    expect(await reencrypt(host, {}, ofEpoch(2))).toMatchObject({ status: 'refused', code: 'VM_HELD' });
  });
});
