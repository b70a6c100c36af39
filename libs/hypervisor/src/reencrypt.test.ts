import { describe, expect, it } from 'vitest';
import { failed } from './codes.ts';
import { fakeNetwork } from './fake/artifacts.ts';
import type { Fault, FaultPlan } from './fake/faults.ts';
import type { FakeHost } from './fake/host.ts';
import { readFakeVolume } from './fake/volumes.ts';
import {
  ask,
  CAPACITY,
  DISK,
  draft,
  first,
  hostA,
  hostB,
  NEW_SECRET,
  NEW_SECRETS,
  NEW_SPEC,
  ofEpoch,
  SECRET,
  UUID,
  VM,
} from './testing/drive.ts';
import { createRunning, moves, play } from './testing/journey.ts';

/** A target on which the VM arrived, got a passphrase of its own, and was started or left off. */
async function arrived(vcpus: 'run' | 'held' | 'not yet', faults: FaultPlan = () => undefined): Promise<FakeHost> {
  const network = fakeNetwork();
  const [source, target] = [hostA({ network }), hostB({ network, faults })];
  await createRunning({ host: source, name: 'a1' });
  const all = moves('cold', target.leaf, source.leaf);
  const until = all.findIndex(({ on, step }) => on === 'target' && step === 'trialUnlock');
  await play({ source: { host: source, name: 'a1' }, target: { host: target, name: 'b1' } }, all.slice(0, until + 1), 1);
  const volumes = [{ artifact: DISK, capacityBytes: CAPACITY, from: SECRET, to: NEW_SECRET }];
  expect(await ask(target.agent, 'b1', 'rekey', { method: 'slot', volumes }, ofEpoch(1))).toMatchObject({ status: 'done' });
  if (vcpus === 'not yet') return target;
  const start = { spec: NEW_SPEC, vcpus, secrets: NEW_SECRETS };
  expect(await ask(target.agent, 'b1', 'start', start, ofEpoch(1))).toMatchObject({ status: 'done' });
  return target;
}

const reencrypt = (host: FakeHost, body: object = {}, of: object = ofEpoch(1)) =>
  ask(host.agent, 'b1', 'reencrypt', { secrets: NEW_SECRETS, ...body }, of);
const path = (host: FakeHost): string => host.ports.paths.volume(VM, DISK);
const volumeOf = async (host: FakeHost) => {
  const volume = await readFakeVolume(host.files, path(host));
  if (volume === undefined) throw new Error('expected a volume');
  return volume;
};
const leftovers = (host: FakeHost): readonly string[] =>
  host.files.paths().filter((name) => name.startsWith(host.ports.paths.home(VM)) && /reencrypting|replaced/.test(name));
const ticks = (host: FakeHost): number => host.hypervisor.guest(UUID)?.ticks ?? Number.NaN;
const tickOn = async (host: FakeHost): Promise<number> => Number((await volumeOf(host)).marker.split(' n=')[1]);

it('a running guest goes on under another volume key, opened by the same passphrase alone; the host testifies to both headers', async () => {
  const host = await arrived('run');
  const [before, guest] = [await volumeOf(host), host.hypervisor.guest(UUID)];
  const reply = await reencrypt(host);
  expect(reply).toMatchObject({ status: 'done', result: { step: 'reencrypt', volumes: [{ artifact: DISK }] } });
  if (reply.status !== 'done' || reply.evidence === undefined) throw new Error('expected evidence');
  const { kind, facts } = JSON.parse(Buffer.from(reply.evidence.payload, 'base64').toString('utf8'));
  expect([kind, facts.artifact0, facts.before0 === facts.after0]).toEqual(['reencrypted', DISK, false]);
  const after = await volumeOf(host);
  expect([after.slots, after.volumeKey === before.volumeKey]).toEqual([before.slots.filter((slot) => slot !== null), false]);
  await host.ports.hypervisor.find(UUID);
  expect(host.hypervisor.guest(UUID)?.boot).toBe(guest?.boot);
  expect(await tickOn(host)).toBe(ticks(host));
  expect(await host.hypervisor.diskFiles(UUID)).toEqual([path(host)]);
  expect(leftovers(host)).toEqual([]);
});

it('a VM that was left off gets it as well, and starts from it', async () => {
  const host = await arrived('held');
  const before = await volumeOf(host);
  expect(await reencrypt(host)).toMatchObject({ status: 'done' });
  const after = await volumeOf(host);
  expect([after.marker, after.volumeKey === before.volumeKey]).toEqual([before.marker, false]);
  expect(await ask(host.agent, 'b1', 'startVm', { secrets: NEW_SECRETS, epoch: 1 })).toMatchObject({ status: 'done' });
});

it('done twice is answered from the log with the very same words, and nothing is done again', async () => {
  const host = await arrived('run');
  const { id: _id, command: _command, ...words } = await reencrypt(host);
  const { volumeKey } = await volumeOf(host);
  host.restart();
  expect(await reencrypt(host)).toMatchObject(words);
  expect((await volumeOf(host)).volumeKey).toBe(volumeKey);
});

describe.each<[string, 'run' | 'held', readonly string[]]>([
  [
    'runs',
    'run',
    ['volumes.createBlank', 'hypervisor.putSecret', 'hypervisor.beginCopy', 'hypervisor.pause', 'hypervisor.endCopy'].concat([
      'files.flush',
      'files.rename',
      'hypervisor.define',
      'hypervisor.unpause',
      'files.blank',
      'files.remove',
    ]),
  ],
  ['is off', 'held', ['volumes.createBlank', 'volumes.copyInto', 'files.rename', 'hypervisor.define', 'files.blank']],
])('an effect on a VM that %s fails', (_, vcpus, effects) => {
  const FATES: readonly Fault['when'][] = ['before', 'after'];
  it.each(
    effects.flatMap((effect) => FATES.map((when) => [effect, when] as const)),
  )('%s, %s it was done: asked again, it is done', async (effect, when) => {
    let armed = false;
    const host = await arrived(vcpus, (operation) => {
      if (!armed || operation !== effect) return undefined;
      armed = false;
      return { when, setback: failed('TOOL_FAILED') };
    });
    const [before, guest] = [await volumeOf(host), ticks(host)];
    armed = true;
    expect(await reencrypt(host)).toMatchObject({ status: 'failed', retryable: true });
    host.restart();
    expect(await reencrypt(host)).toMatchObject({ status: 'done' });
    expect((await volumeOf(host)).volumeKey).not.toBe(before.volumeKey);
    expect(leftovers(host)).toEqual([]);
    if (vcpus === 'held') return;
    expect(await host.ports.hypervisor.find(UUID)).toMatchObject({ state: 'running' });
    expect([await tickOn(host), ticks(host) > guest]).toEqual([ticks(host), true]);
  });

  it.each(effects)('at %s, and the VM is started instead: it has lost no write', async (effect) => {
    let armed = false;
    const host = await arrived(vcpus, (operation) => {
      if (!armed || operation !== effect) return undefined;
      armed = false;
      return { when: 'after', setback: failed('TOOL_FAILED') };
    });
    armed = true;
    await reencrypt(host);
    const { marker } = (await readFakeVolume(host.files, path(host))) ?? { marker: undefined };
    await host.ports.hypervisor.powerOff(UUID);
    host.restart();
    expect(await ask(host.agent, 'b1', 'startVm', { secrets: NEW_SECRETS, epoch: 1 })).toMatchObject({ status: 'done' });
    if (marker !== undefined) expect((await volumeOf(host)).marker).toBe(marker);
    expect(leftovers(host)).toEqual([]);
  });
});

it('a copy that never gets ready does not hold up who stops or looks at the VM', async () => {
  const host = await arrived('run');
  const { copyState } = host.hypervisor;
  host.hypervisor.copyState = async (uuid, target) => {
    const state = await copyState(uuid, target);
    return state === undefined ? undefined : { ...state, ready: false };
  };
  const before = await volumeOf(host);
  const command = draft('b1', 'reencrypt', { secrets: NEW_SECRETS }, ofEpoch(1));
  expect(await host.agent.handle(command)).toMatchObject({ status: 'running', progress: { doneBytes: 0 } });
  expect(await ask(host.agent, 'b1', 'inspect', {})).toMatchObject({ status: 'done', result: { state: 'running' } });
  expect(await ask(host.agent, 'b1', 'stopVm', { graceSeconds: 0 })).toMatchObject({ status: 'done' });
  expect(await host.agent.handle(command)).toMatchObject({ status: 'failed', code: 'STEP_ABORTED' });
  expect((await volumeOf(host)).volumeKey).toBe(before.volumeKey);
  expect(await reencrypt(host)).toMatchObject({ status: 'done' });
  expect((await volumeOf(host)).volumeKey).not.toBe(before.volumeKey);
});

it('a copy that breaks off leaves the guest on its volume', async () => {
  const host = await arrived('run');
  const { copyState } = host.hypervisor;
  let looks = 0;
  host.hypervisor.copyState = async (uuid, target) => {
    looks += 1;
    // The first look is before it begins; the copy ends by itself before the second.
    if (looks === 2) await host.hypervisor.endCopy(uuid, target, 'keep');
    return copyState(uuid, target);
  };
  const before = await volumeOf(host);
  expect(await reencrypt(host)).toMatchObject({ status: 'failed', code: 'COPY_BROKE_OFF', retryable: true });
  expect([(await volumeOf(host)).volumeKey, leftovers(host)]).toEqual([before.volumeKey, []]);
  expect(await host.ports.hypervisor.find(UUID)).toMatchObject({ state: 'running' });
  host.hypervisor.copyState = copyState;
  expect(await reencrypt(host)).toMatchObject({ status: 'done' });
});

describe('refused, and nothing changes', () => {
  it.each<[string, 'run' | 'not yet', object, object, string]>([
    ['before the VM was started', 'not yet', {}, {}, 'VM_NOT_HERE'],
    ['in an epoch that is not here yet', 'run', {}, ofEpoch(2), 'VM_NOT_HERE'],
    ['without the secret of a disk', 'run', { secrets: [] }, {}, 'SECRET_MISSING'],
  ])('%s', async (_, vcpus, body, of, code) => {
    const host = await arrived(vcpus);
    const [files, before] = [host.files.paths(), await host.agent.fence.read(VM)];
    expect(await reencrypt(host, body, { ...ofEpoch(1), ...of })).toMatchObject({ status: 'refused', code });
    expect([host.files.paths(), await host.agent.fence.read(VM)]).toEqual([files, before]);
  });

  it('while it is held for its next migration', async () => {
    const host = await arrived('run');
    expect(await ask(host.agent, 'b1', 'quiesce', { mode: 'cold', graceSeconds: 0 }, ofEpoch(2))).toMatchObject({
      status: 'done',
    });
    const before = await volumeOf(host);
    expect(await reencrypt(host)).toMatchObject({ status: 'refused', code: 'EPOCH_FENCED' });
    expect(await reencrypt(host, {}, ofEpoch(2))).toMatchObject({ status: 'refused', code: 'VM_NOT_HERE' });
    expect(await volumeOf(host)).toEqual(before);
  });
});

it('a migration that begins while a crashed agent’s copy goes on ends the copy, and takes the disk as it is', async () => {
  let armed = false;
  const host = await arrived('run', (operation) =>
    armed && operation === 'hypervisor.copyState' ? { when: 'before', setback: failed('LIBVIRT_UNREACHABLE') } : undefined,
  );
  await host.ports.volumes.createBlank(
    host.ports.paths.reencrypting(VM, DISK),
    CAPACITY,
    Buffer.from(Buffer.alloc(32, 8).toString('hex')),
  );
  await host.hypervisor.beginCopy(UUID, { target: 'vda', path: host.ports.paths.reencrypting(VM, DISK), key: NEW_SECRET.key });
  armed = true;
  expect(await ask(host.agent, 'b1', 'quiesce', { mode: 'cold', graceSeconds: 0 }, ofEpoch(2))).toMatchObject({ status: 'done' });
  expect([leftovers(host), await host.hypervisor.copyState(UUID, 'vda'), first]).toEqual([[], undefined, 1]);
});
