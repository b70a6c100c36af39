import { keysOf, type VmId, type VmSpec } from '@carnet/events';
import { refused, type Setback } from '../codes.ts';
import type { CommandOf } from '../command/command.ts';
import { forbidsRunning } from '../fence/moves.ts';
import { uuidOf } from '../host-paths.ts';
import { readVm } from '../vm-record.ts';
import {
  definitionOf,
  dropSecrets,
  isOff,
  letRun,
  provideSecrets as putSecrets,
  recordedKeys,
  stateOf,
  stopDomain,
  unlockDisks,
} from './domains.ts';
import { keepPermit } from './permit.ts';
import { endSecondNames, settleNames } from './reencrypt-volume.ts';
import { shredAll } from './shred.ts';
import { finished, openPassphrases, type Step, type StepContext } from './step.ts';

export const inspect: Step<'inspect'> = async ({ vm }, { ports, fence }) => {
  const facts = await ports.hypervisor.find(uuidOf(vm));
  const entry = await fence.read(vm);
  if (!entry.ok) return entry.setback;
  const spec = await readVm(ports.files, ports.paths, vm);
  return finished({
    step: 'inspect',
    state: facts?.state ?? 'absent',
    reason: facts?.reason ?? '',
    autostart: facts?.autostart ?? false,
    vcpuTimeMs: facts?.vcpuTimeMs ?? 0,
    consoleBytes: (await ports.files.size(ports.paths.console(vm))) ?? 0,
    volumes: await sizesOf(vm, spec, ports),
    ...(spec === undefined ? {} : { spec }),
    ...(entry.value === undefined ? {} : { fence: fenceFactsOf(entry.value) }),
  });
};

async function sizesOf(vm: VmId, spec: VmSpec | undefined, { files, paths }: StepContext['ports']) {
  const sizes = (spec?.disks ?? []).map(async ({ artifact }) => {
    const sizeBytes = await files.size(paths.volume(vm, artifact));
    return sizeBytes === undefined ? [] : [{ artifact, sizeBytes }];
  });
  return (await Promise.all(sizes)).flat();
}

export const fenceFactsOf = ({ epoch, standing, vcpus, role }: Parameters<typeof forbidsRunning>[0]) => ({
  epoch,
  standing,
  vcpus,
  role,
});

/** The record of a VM that this host may run now, or why it may not. */
async function runnable(vm: VmId, { ports, fence }: StepContext): Promise<VmSpec | Setback> {
  const entry = await fence.read(vm);
  if (!entry.ok) return entry.setback;
  const spec = await readVm(ports.files, ports.paths, vm);
  // A record without a register entry is not an unfederated VM: somebody removed the entry.
  if (entry.value === undefined) return refused(spec === undefined ? 'VM_NOT_HERE' : 'FENCE_UNREADABLE');
  return forbidsRunning(entry.value) ?? spec ?? refused('VM_NOT_HERE');
}

const isSetback = (value: VmSpec | Setback): value is Setback => 'status' in value;

/** Of the register's epoch only: the broker learns of epochs by hellos, and may be a move behind. */
async function renewPermit(command: CommandOf<'startVm'>, context: StepContext): Promise<Setback | undefined> {
  const entry = await context.fence.read(command.vm);
  if (!entry.ok) return entry.setback;
  return entry.value?.epoch === command.body.epoch ? keepPermit(context, command) : undefined;
}

export const startVm: Step<'startVm'> = async (command, context) => {
  const { vm, body } = command;
  const { ports } = context;
  const spec = await runnable(vm, context);
  if (isSetback(spec)) return spec;
  const renewed = await renewPermit(command, context);
  if (renewed !== undefined) return renewed;
  if ((await stateOf(context, vm)) === 'running') return finished({ step: 'startVm' });
  await settleNames(context, vm, spec.disks);
  const definition = await definitionOf(context, vm, spec);
  if (!definition.ok) return definition.setback;
  const passphrases = await openPassphrases(context, command, keysOf(spec), body.secrets);
  if (!passphrases.ok) return passphrases.setback;
  if (isOff(await stateOf(context, vm))) {
    const locked = await unlockDisks(context, definition.value.disks, passphrases.value);
    if (locked !== undefined) return locked;
    await context.intend({});
    await endSecondNames(context, vm, spec.disks);
    await ports.hypervisor.define(definition.value);
    await putSecrets(context, vm, passphrases.value);
    await ports.hypervisor.startHeld(uuidOf(vm));
  }
  await letRun(context, vm);
  return finished({ step: 'startVm' });
};

/** Not what is held: between two attempts of its start, a paused guest may be the only place where its memory is. */
export const stopVm: Step<'stopVm'> = async ({ vm, body }, context) => {
  const entry = await context.fence.read(vm);
  if (!entry.ok) return entry.setback;
  if (entry.value?.standing === 'mine' && entry.value.vcpus === 'held') return refused('VM_HELD');
  if ((await stateOf(context, vm)) === 'absent') return refused('VM_NOT_HERE');
  const { forced } = await stopDomain(context, vm, body.graceSeconds);
  return finished({ step: 'stopVm', forced });
};

export const deleteVm: Step<'deleteVm'> = async ({ vm }, context) => {
  const { ports, fence } = context;
  const entry = await fence.read(vm);
  if (!entry.ok) return entry.setback;
  // Also what was given away: it may come back, and of a copy that stood down nothing is destroyed unasked.
  const stop = entry.value === undefined ? undefined : forbidsRunning(entry.value);
  if (stop !== undefined) return stop;
  if (!isOff(await stateOf(context, vm))) return refused('VM_RUNNING');
  const spec = await readVm(ports.files, ports.paths, vm);
  await context.intend({});
  await ports.hypervisor.undefine(uuidOf(vm));
  await dropSecrets(context, recordedKeys(spec));
  await shredAll(context, [ports.paths.home(vm), ports.paths.vtpmHome(vm)]);
  await ports.files.remove(ports.paths.spec(vm));
  await ports.permits.forget(vm);
  await fence.forget(vm);
  return finished({ step: 'deleteVm' });
};

export const provideSecrets: Step<'provideSecrets'> = async (command, context) => {
  const { vm, body } = command;
  const spec = await runnable(vm, context);
  if (isSetback(spec)) return spec;
  const keys = keysOf(spec).filter((key) => body.secrets.some((secret) => secret.key === key));
  const passphrases = await openPassphrases(context, command, keys, body.secrets);
  if (!passphrases.ok) return passphrases.setback;
  await putSecrets(context, vm, passphrases.value);
  return finished({ step: 'provideSecrets', provided: keys.length });
};
