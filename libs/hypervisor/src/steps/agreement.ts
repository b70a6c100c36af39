import type { VmSpec } from '@carnet/events';
import { locateBoot } from '../boot-catalogue.ts';
import { claimUuid } from '../claim.ts';
import { refused, type Setback } from '../codes.ts';
import type { CommandOf } from '../command/command.ts';
import type { VolumeFacts } from '../command/result.ts';
import { moveFence } from '../fence/moves.ts';
import { capacityAt, roomFor, savedMemoryBytes, writeLease } from '../leases.ts';
import { isNameTaken, readVm } from '../vm-record.ts';
import { stateOf } from './domains.ts';
import { finished, openPassphrases, type Step, type StepContext } from './step.ts';
import { hasVtpmState } from './vtpm.ts';

/** Whether the VM can leave: it is here, it is what the intent says, and each header is one that a peer would accept. */
export const preflight: Step<'preflight'> = async ({ vm, epoch, body }, context) => {
  const { ports, fence } = context;
  const entry = await fence.read(vm);
  if (!entry.ok) return entry.setback;
  const stop = moveFence(entry.value, { kind: 'hold', epoch }, { vm, because: null, time: ports.clock.now() });
  if (!stop.ok) return stop.setback;
  const spec = await readVm(ports.files, ports.paths, vm);
  if (spec === undefined) return refused('VM_NOT_HERE');
  if (JSON.stringify(spec) !== JSON.stringify(body.spec)) return refused('SPEC_MISMATCH');
  const state = await stateOf(context, vm);
  if (state === 'absent') return refused('VM_NOT_HERE');
  if (body.mode === 'suspend') {
    if (state !== 'running') return refused('VM_NOT_RUNNING');
    const noRoom = await lacksRoomToSave(context, spec);
    if (noRoom !== undefined) return noRoom;
  }
  if (spec.tpm !== undefined && !(await hasVtpmState(context, vm))) return refused('VTPM_STATE_MISSING');
  const volumes: VolumeFacts[] = [];
  for (const { artifact, capacityBytes } of spec.disks) {
    const header = await ports.artifacts.guard(ports.paths.volume(vm, artifact));
    if (!header.ok) return header.setback;
    if (header.value.capacityBytes !== capacityBytes)
      return refused('SPEC_MISMATCH', `Disk ${artifact} has ${header.value.capacityBytes} bytes.`);
    volumes.push({ artifact, ...header.value });
  }
  return finished({ step: 'preflight', state, volumes, dataPath: ports.artifacts.dataPath() });
};

/** Where a guest's memory goes when it is saved here: in the clear to tmpfs, and sealed beside the volumes. Asked while the guest runs: afterwards it is off. */
export async function lacksRoomToSave(context: StepContext, spec: VmSpec): Promise<Setback | undefined> {
  const { files, paths } = context.ports;
  const noTmpfs = await lacksTmpfs(context, spec);
  if (noTmpfs !== undefined) return noTmpfs;
  const needed = savedMemoryBytes(spec);
  return (await files.freeBytes(paths.volumesDir)) < needed
    ? refused('NO_ROOM', `${needed} bytes beside the volumes are needed for the sealed memory.`)
    : undefined;
}

/** Clear memory goes to tmpfs only, and all of it must fit. */
export async function lacksTmpfs({ ports }: StepContext, spec: VmSpec): Promise<Setback | undefined> {
  if (!(await ports.files.isTmpfs(ports.paths.tmpfsDir))) return refused('TMPFS_REQUIRED');
  return (await ports.files.freeBytes(ports.paths.tmpfsDir)) < spec.memoryMiB * 2 ** 20
    ? refused('NO_ROOM', `The tmpfs must hold ${spec.memoryMiB} MiB.`)
    : undefined;
}

/** Promises room until a time. Nothing of the VM may be here already: leftovers would mix with what arrives. */
export const reserve: Step<'reserve'> = async ({ vm, epoch, body }, context) => {
  const { ports, fence } = context;
  const now = ports.clock.now();
  const entry = await fence.read(vm);
  if (!entry.ok) return entry.setback;
  const arrival = moveFence(entry.value, { kind: 'admit', epoch }, { vm, because: null, time: now });
  if (!arrival.ok) return arrival.setback;
  if ((await stateOf(context, vm)) !== 'absent') return refused('VM_PRESENT');
  for (const home of [ports.paths.home(vm), ports.paths.vtpmHome(vm)])
    if ((await ports.files.size(home)) !== undefined) return refused('VM_PRESENT');
  if (await isNameTaken(ports.files, ports.paths, vm, body.spec.name)) return refused('NAME_TAKEN');
  const boot = await locateBoot(ports.files, ports.paths, body.spec.boot);
  if (!boot.ok) return boot.setback;
  if (body.mode === 'suspend') {
    const noTmpfs = await lacksTmpfs(context, body.spec);
    if (noTmpfs !== undefined) return noTmpfs;
  }
  const needed = roomFor(body.spec, body.mode === 'suspend' ? 'saved' : 'none', body.rekey);
  const room = await capacityAt(ports, now, vm);
  if (needed.memoryMiB > room.memoryMiBFree - room.memoryMiBReserved)
    return refused('NO_ROOM', `It needs ${needed.memoryMiB} MiB of memory.`);
  if (needed.volumeBytes > room.volumeBytesFree - room.volumeBytesReserved)
    return refused('NO_ROOM', `It needs ${needed.volumeBytes} bytes of disk.`);
  await claimUuid(ports, vm);
  await writeLease(ports, { vm, epoch, until: body.until, ...needed });
  return finished({ step: 'reserve', until: body.until });
};

type TrialUnlock = CommandOf<'trialUnlock'>;

/** Opens every volume and starts nothing. The header is guarded first: a hostile one must not reach a qemu tool. */
export const trialUnlock: Step<'trialUnlock'> = async (command, context) => {
  const volumes: VolumeFacts[] = [];
  for (const locked of command.body.volumes) {
    const opened = await tryVolume(command, context, locked);
    if ('status' in opened) return opened;
    volumes.push(opened);
  }
  return finished({ step: 'trialUnlock', volumes });
};

async function tryVolume(
  command: TrialUnlock,
  context: StepContext,
  locked: TrialUnlock['body']['volumes'][number],
): Promise<VolumeFacts | Setback> {
  const { vm, epoch, body } = command;
  const { paths, files, artifacts, volumes } = context.ports;
  const { artifact } = locked;
  const path = body.where === 'volumes' ? paths.volume(vm, artifact) : paths.staged(vm, epoch, artifact);
  if ((await files.size(path)) === undefined) return refused('ARTIFACT_MISSING', `(${artifact})`);
  const header = await artifacts.guard(path);
  if (!header.ok) return header.setback;
  if (header.value.capacityBytes !== locked.capacityBytes)
    return refused('SPEC_MISMATCH', `Disk ${artifact} has ${header.value.capacityBytes} bytes.`);
  if (locked.headerDigest !== undefined && locked.headerDigest !== header.value.headerDigest)
    return refused('HEADER_CHANGED', `(${artifact})`);
  const passphrases = await openPassphrases(context, command, [locked.secret.key], [locked.secret], 'trial-unlock');
  if (!passphrases.ok) return passphrases.setback;
  const opened = await volumes.unlock(path, passphrases.value.get(locked.secret.key) ?? new Uint8Array());
  return opened.ok ? { artifact, ...header.value } : opened.setback;
}
