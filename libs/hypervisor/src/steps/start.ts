import { keysOf } from '@carnet/events';
import { failed, refused, type Setback } from '../codes.ts';
import type { CommandOf } from '../command/command.ts';
import type { FenceEntry } from '../fence/entry.ts';
import { moveFence } from '../fence/moves.ts';
import { uuidOf } from '../host-paths.ts';
import { dropLease } from '../leases.ts';
import type { DomainDefinition } from '../ports/hypervisor.ts';
import { writeVm } from '../vm-record.ts';
import { definitionOf, isOff, letRun, provideSecrets, stateOf, unlockDisks } from './domains.ts';
import { restoreMemory } from './memory.ts';
import { keepPermit, withStartTicket } from './permit.ts';
import { finished, moveFor, openPassphrases, type Step, type StepContext, testify } from './step.ts';
import { endVtpmCopy, placeVtpm } from './vtpm.ts';

type Start = CommandOf<'start'>;

/**
 * Starts what arrived. Everything that can fail comes before the register says `may-run`, and that before the first
 * instruction: until then the target can still forswear.
 */
export const start: Step<'start'> = async (command, context) => {
  const { vm, epoch, body } = command;
  const { ports, fence } = context;
  const entry = await fence.read(vm);
  if (!entry.ok) return entry.setback;
  const allowed = moveFence(entry.value, { kind: 'admit', epoch }, { vm, because: command.because, time: ports.clock.now() });
  if (!allowed.ok) return allowed.setback;
  const definition = await definitionOf(context, vm, body.spec);
  if (!definition.ok) return definition.setback;
  const passphrases = await openPassphrases(context, command, keysOf(body.spec), body.secrets);
  if (!passphrases.ok) return passphrases.setback;
  const unpermitted = await keepPermit(context, command);
  if (unpermitted !== undefined) return unpermitted;

  await context.intend({});
  const admitted = await moveFor(context, command, { kind: 'admit', epoch });
  if (!admitted.ok) return admitted.setback;
  const missing = await takeOver(command, context);
  if (missing !== undefined) return missing;
  if (isOff(await stateOf(context, vm))) {
    const locked = await unlockDisks(context, definition.value.disks, passphrases.value);
    if (locked !== undefined) return locked;
    const vtpm = body.spec.tpm === undefined ? undefined : await placeVtpm(context, vm, body.spec.tpm);
    if (vtpm !== undefined) return vtpm;
    await ports.hypervisor.define(definition.value);
    await provideSecrets(context, vm, passphrases.value);
  }
  return body.vcpus === 'held'
    ? leaveStopped(command, context)
    : run(command, withStartTicket(context, command), { definition: definition.value, vcpus: admitted.value.vcpus });
};

/** Renames each staged artifact to its place; done before is done. The record of the VM comes last: then it lives here. */
async function takeOver({ vm, epoch, body }: Start, { ports }: StepContext): Promise<Setback | undefined> {
  const { files, paths } = ports;
  await files.ensureDir(paths.home(vm));
  const moves = [
    ...body.spec.disks.map(({ artifact }) => [paths.staged(vm, epoch, artifact), paths.volume(vm, artifact)] as const),
    ...(body.spec.tpm === undefined
      ? []
      : [[paths.staged(vm, epoch, body.spec.tpm.artifact), paths.sealedVtpm(vm, body.spec.tpm.artifact)] as const]),
    ...(body.memory === undefined
      ? []
      : [[paths.staged(vm, epoch, body.memory.artifact), paths.sealedMemory(vm, body.memory.artifact)] as const]),
  ];
  for (const [staged, place] of moves) {
    if ((await files.size(staged)) !== undefined) await files.rename(staged, place);
  }
  for (const { artifact } of body.spec.disks) {
    if ((await files.size(paths.volume(vm, artifact))) === undefined) return refused('ARTIFACT_MISSING', `(${artifact})`);
  }
  await writeVm(files, paths, vm, body.spec);
  await files.remove(paths.staging(vm, epoch));
  await dropLease(ports, { vm, epoch });
  return undefined;
}

/** As it was at the source: defined and off. It is this host's now, so an operator may start it. */
async function leaveStopped(command: Start, context: StepContext) {
  await endVtpmCopy(context, command.vm, command.body.spec.tpm);
  const mine = await moveFor(context, command, { kind: 'letGo', epoch: command.epoch });
  if (!mine.ok) return mine.setback;
  const state = await stateOf(context, command.vm);
  return finished(
    { step: 'start', vcpus: 'held', memoryRestored: false },
    testify(context, command, 'started', { state, vcpus: 'held' }),
  );
}

/** `vcpus`: what the register says before this attempt. */
type Running = { readonly definition: DomainDefinition; readonly vcpus: FenceEntry['vcpus'] };

async function run(command: Start, context: StepContext, { definition, vcpus }: Running) {
  const { vm, epoch, body } = command;
  const { hypervisor, files, paths } = context.ports;
  let memory: 'none' | 'restored' = 'none';
  if (isOff(await stateOf(context, vm))) {
    const restored = await restoreMemory(context, command, body.memory, definition);
    if (!restored.ok) return restored.setback;
    memory = restored.value;
    // Nothing of it ran here, and the source has that memory: it shall resume with it.
    if (memory === 'none' && body.memory !== undefined && vcpus === 'held') return refused('MEMORY_STATE_LOST');
    if (memory === 'none') await hypervisor.startHeld(uuidOf(vm));
  }
  // Also one that an attempt left behind which crashed after its start.
  await files.remove(paths.startTicket(vm));
  // While nobody else may start it: a second time, memory would meet disks that have moved on, and a vTPM forget what it has told.
  if (body.memory !== undefined) await files.remove(paths.sealedMemory(vm, body.memory.artifact));
  await endVtpmCopy(context, vm, body.spec.tpm);
  const mine = await moveFor(context, command, { kind: 'letGo', epoch });
  if (!mine.ok) return mine.setback;
  await letRun(context, vm);
  const facts = await hypervisor.find(uuidOf(vm));
  if (facts?.state !== 'running') return failed('VM_CRASHED', `(${facts?.state ?? 'absent'})`);
  const memoryRestored = memory === 'restored';
  return finished(
    { step: 'start', vcpus: 'run', memoryRestored },
    testify(context, command, 'started', { state: facts.state, reason: facts.reason, vcpus: 'run', memoryRestored }),
  );
}
