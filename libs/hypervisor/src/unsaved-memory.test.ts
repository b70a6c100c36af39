import { expect, it } from 'vitest';
import { failed, type HostCode } from './codes.ts';
import type { FaultPlan } from './fake/faults.ts';
import { RESTORES_MAX, SAVES_MAX } from './limits.ts';
import { ask, BECAUSE, DISK, hostA, MEMORY, MEMORY_SECRET, ofEpoch, SECRETS, UNTIL, UUID } from './testing/drive.ts';
import { createRunning } from './testing/journey.ts';

const QUIESCE = { mode: 'suspend', graceSeconds: 1, memory: MEMORY_SECRET };
const RESUME = { proof: { kind: 'withdrawn', event: BECAUSE }, secrets: SECRETS, memory: MEMORY_SECRET };

/** A running guest whose saves fail with `code`, the first `times` of them. */
async function unsavable(code: HostCode, times: number) {
  let saves = 0;
  const faults: FaultPlan = (operation) => {
    if (operation !== 'hypervisor.save') return undefined;
    saves += 1;
    return saves <= times ? { when: 'before', setback: failed(code) } : undefined;
  };
  const side = { host: hostA({ faults }), name: 'a1' };
  await createRunning(side);
  const before = side.host.hypervisor.guest(UUID);
  const reply = await ask(side.host.agent, 'a1', 'quiesce', QUIESCE, ofEpoch(1));
  return { side, before, reply, saves: () => saves };
}

/** A guest whose memory is saved and sealed. */
async function saved(faults: FaultPlan) {
  const side = { host: hostA({ faults }), name: 'a1' };
  await createRunning(side);
  const before = side.host.hypervisor.guest(UUID);
  expect(await ask(side.host.agent, 'a1', 'quiesce', QUIESCE, ofEpoch(1))).toMatchObject({ status: 'done' });
  return { ...side.host, before };
}

it('a guest that libvirt will not save runs on: the step says that asking again is in vain, and leaves nothing in tmpfs', async () => {
  const { side, before, reply, saves } = await unsavable('LIBVIRT_FAILED', Number.POSITIVE_INFINITY);
  expect(reply).toMatchObject({ status: 'failed', code: 'MEMORY_NOT_SAVED', retryable: false });
  expect(saves()).toBe(SAVES_MAX);
  const { host } = side;
  expect(await host.hypervisor.find(UUID)).toMatchObject({ state: 'running' });
  expect(host.hypervisor.guest(UUID)?.boot).toBe(before?.boot);
  expect(host.files.paths().filter((path) => path.endsWith('.state') || path.startsWith('/t'))).toEqual([]);
  expect(await ask(host.agent, 'a1', 'resume', RESUME, ofEpoch(1))).toMatchObject({ status: 'done', result: { ran: true } });
  expect(host.hypervisor.guest(UUID)?.boot).toBe(before?.boot);
  await ask(host.agent, 'a1', 'stopVm', { graceSeconds: 1 });
  expect(await ask(host.agent, 'a1', 'startVm', { secrets: SECRETS })).toMatchObject({ status: 'done' });
});

it('one refusal passes: the next save is taken', async () => {
  const { reply, saves } = await unsavable('LIBVIRT_FAILED', SAVES_MAX - 1);
  expect(reply).toMatchObject({ status: 'done' });
  expect(saves()).toBe(SAVES_MAX);
});

it('a libvirtd that is away is no refusal: the broker asks again', async () => {
  const { side, reply, saves } = await unsavable('LIBVIRT_UNREACHABLE', 1);
  expect(reply).toMatchObject({ status: 'failed', code: 'LIBVIRT_UNREACHABLE', retryable: true });
  expect(saves()).toBe(1);
  expect(await ask(side.host.agent, 'a1', 'quiesce', QUIESCE, { ...ofEpoch(1), attempt: 2 })).toMatchObject({ status: 'done' });
});

it('saved memory whose key the broker has lost: the guest boots from its disks, and nothing of the state stays', async () => {
  const { side, before, reply } = await unsavable('LIBVIRT_FAILED', 0);
  expect(reply).toMatchObject({ status: 'done' });
  const { host } = side;
  const artifacts = [{ artifact: MEMORY, kind: 'memory' }];
  await ask(host.agent, 'a1', 'seal', { round: 0, chunkBytes: 1_048_576, artifacts }, ofEpoch(1));
  const resume = { proof: { kind: 'withdrawn', event: BECAUSE }, secrets: SECRETS };
  expect(await ask(host.agent, 'a1', 'resume', resume, ofEpoch(1))).toMatchObject({ status: 'done', result: { ran: true } });
  expect(host.hypervisor.guest(UUID)?.boot).not.toBe(before?.boot);
  expect(host.files.paths().filter((path) => path.includes('.state') || path.startsWith('/t'))).toEqual([]);
});

it('nobody switches on a guest whose resume has stopped half way: its memory would meet disks that have moved on', async () => {
  let undefinable = false;
  const faults: FaultPlan = (operation) =>
    undefinable && operation === 'hypervisor.define' ? { when: 'before', setback: failed('LIBVIRT_FAILED') } : undefined;
  const { agent, files, hypervisor, before } = await saved(faults);
  undefinable = true;
  expect(await ask(agent, 'a1', 'resume', RESUME, ofEpoch(1))).toMatchObject({ status: 'failed', code: 'LIBVIRT_FAILED' });
  undefinable = false;
  expect(files.paths().some((path) => path.endsWith('.state'))).toBe(true);
  expect(await ask(agent, 'a1', 'startVm', { secrets: SECRETS })).toMatchObject({ status: 'refused', code: 'VM_HELD' });
  // What was under way when the source withdrew comes too late, or nothing would give the VM back any more.
  const sealing = { round: 0, chunkBytes: 1_048_576, artifacts: [{ artifact: DISK, kind: 'disk' }] };
  const serving = { round: 0, artifacts: [DISK], peer: [BECAUSE], until: UNTIL };
  for (const [step, body] of [
    ['surrender', {}],
    ['seal', sealing],
    ['serve', serving],
  ] as const)
    expect(await ask(agent, 'a1', step, body, ofEpoch(1)), step).toMatchObject({ status: 'refused', code: 'VM_RUNNING' });
  const again = { ...ofEpoch(1), attempt: 2 };
  expect(await ask(agent, 'a1', 'resume', RESUME, again)).toMatchObject({ status: 'done', result: { ran: true } });
  expect(hypervisor.guest(UUID)?.boot).toBe(before?.boot);
  expect(files.paths().filter((path) => path.includes('.state'))).toEqual([]);
});

it.each([
  'before',
  'after',
] as const)('memory that was saved and half sealed (%s), and a move that ends there: the guest goes on from it, and nothing of it stays', async (when) => {
  const faults: FaultPlan = (operation) =>
    operation === 'artifacts.sealMemory' ? { when, setback: failed('DISK_FAILED') } : undefined;
  const side = { host: hostA({ faults }), name: 'a1' };
  await createRunning(side);
  const { agent, files, hypervisor } = side.host;
  const before = hypervisor.guest(UUID);
  expect(await ask(agent, 'a1', 'quiesce', QUIESCE, ofEpoch(1))).toMatchObject({ status: 'failed', code: 'DISK_FAILED' });
  expect(files.paths().filter((path) => path.startsWith('/t'))).toHaveLength(1);
  expect(files.paths().some((path) => path.endsWith('.state.partial'))).toBe(when === 'after');
  expect(await ask(agent, 'a1', 'resume', RESUME, ofEpoch(1))).toMatchObject({ status: 'done', result: { ran: true } });
  expect(hypervisor.guest(UUID)?.boot).toBe(before?.boot);
  expect(files.paths().filter((path) => path.includes('.state') || path.startsWith('/t'))).toEqual([]);
});

it('memory that was saved and not sealed outlives a libvirtd that is away when the source resumes', async () => {
  let away = true;
  const faults: FaultPlan = (operation) => {
    if (operation === 'artifacts.sealMemory') return { when: 'before', setback: failed('DISK_FAILED') };
    return away && operation === 'hypervisor.restoreHeld'
      ? { when: 'before', setback: failed('LIBVIRT_UNREACHABLE') }
      : undefined;
  };
  const side = { host: hostA({ faults }), name: 'a1' };
  await createRunning(side);
  const { agent, files, hypervisor } = side.host;
  const before = hypervisor.guest(UUID);
  expect(await ask(agent, 'a1', 'quiesce', QUIESCE, ofEpoch(1))).toMatchObject({ code: 'DISK_FAILED' });
  const withoutKey = { ...RESUME, memory: undefined };
  expect(await ask(agent, 'a1', 'resume', withoutKey, ofEpoch(1))).toMatchObject({ code: 'LIBVIRT_UNREACHABLE' });
  away = false;
  expect(await ask(agent, 'a1', 'resume', withoutKey, ofEpoch(1))).toMatchObject({ status: 'done', result: { ran: true } });
  expect(hypervisor.guest(UUID)?.boot).toBe(before?.boot);
  expect(files.paths().filter((path) => path.startsWith('/t'))).toEqual([]);
});

it('a guest whose memory has no room beside the volumes is not stopped', async () => {
  // Enough for its memory in the clear, and not for QEMU's own beside it.
  const side = { host: hostA({ volumeBytesFree: 100 * 2 ** 20 }), name: 'a1' };
  await createRunning(side);
  const { agent, hypervisor } = side.host;
  expect(await ask(agent, 'a1', 'quiesce', QUIESCE, ofEpoch(1))).toMatchObject({ status: 'refused', code: 'NO_ROOM' });
  expect((await hypervisor.find(UUID))?.state).toBe('running');
});

it('saved memory that no longer opens: the source boots from its disks, says so, and nothing of the state stays', async () => {
  const { side, before, reply } = await unsavable('LIBVIRT_FAILED', 0);
  expect(reply).toMatchObject({ status: 'done' });
  const { agent, files, hypervisor } = side.host;
  const state = files.paths().find((path) => path.endsWith('.state')) ?? '';
  await files.write(state, Buffer.from('sealed under a key that is lost'));
  const resumed = await ask(agent, 'a1', 'resume', RESUME, ofEpoch(1));
  expect(resumed).toMatchObject({ status: 'done', result: { ran: true } });
  const said = resumed.status === 'done' ? Buffer.from(resumed.evidence?.payload ?? '', 'base64').toString() : '{}';
  expect(JSON.parse(said)).toMatchObject({ kind: 'resumed', facts: { memory: 'none', state: 'running' } });
  expect(hypervisor.guest(UUID)?.boot).not.toBe(before?.boot);
  expect(files.paths().filter((path) => path.includes('.state') || path.startsWith('/t'))).toEqual([]);
});

it('a stop that was under way when the source withdrew comes too late', async () => {
  let served = true;
  const faults: FaultPlan = (operation) =>
    operation === 'hypervisor.save' || (served && operation === 'artifacts.unserve')
      ? { when: 'before', setback: failed('LIBVIRT_FAILED') }
      : undefined;
  const side = { host: hostA({ faults }), name: 'a1' };
  await createRunning(side);
  const { agent, hypervisor } = side.host;
  const before = hypervisor.guest(UUID);
  expect(await ask(agent, 'a1', 'quiesce', QUIESCE, ofEpoch(1))).toMatchObject({ code: 'MEMORY_NOT_SAVED' });
  const resume = { proof: { kind: 'withdrawn', event: BECAUSE }, secrets: SECRETS };
  expect(await ask(agent, 'a1', 'resume', resume, ofEpoch(1))).toMatchObject({ status: 'failed' });
  expect(await ask(agent, 'a1', 'quiesce', QUIESCE, ofEpoch(1))).toMatchObject({ status: 'refused', code: 'EPOCH_FENCED' });
  served = false;
  expect(await ask(agent, 'a1', 'resume', resume, ofEpoch(1))).toMatchObject({ status: 'done', result: { ran: true } });
  expect(hypervisor.guest(UUID)?.boot).toBe(before?.boot);
});

it.each([
  [RESTORES_MAX - 1, 'restored'],
  [RESTORES_MAX, 'none'],
] as const)('a saved memory that libvirt refuses %i times: %s', async (times, memory) => {
  let tries = 0;
  const faults: FaultPlan = (operation) => {
    if (operation !== 'hypervisor.restoreHeld') return undefined;
    tries += 1;
    return tries <= times ? { when: 'before', setback: failed('LIBVIRT_FAILED') } : undefined;
  };
  const { agent, files, hypervisor, before } = await saved(faults);
  const resumed = await ask(agent, 'a1', 'resume', RESUME, ofEpoch(1));
  const said = resumed.status === 'done' ? Buffer.from(resumed.evidence?.payload ?? '', 'base64').toString() : '{}';
  expect(JSON.parse(said)).toMatchObject({ kind: 'resumed', facts: { memory, state: 'running' } });
  expect(hypervisor.guest(UUID)?.boot === before?.boot).toBe(memory === 'restored');
  expect(files.paths().filter((path) => path.includes('.state') || path.startsWith('/t'))).toEqual([]);
});
