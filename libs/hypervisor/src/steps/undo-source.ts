import { join } from 'node:path';
import { keysOf, type VmSpec } from '@carnet/events';
import { failed, refused } from '../codes.ts';
import type { CommandOf } from '../command/command.ts';
import { type FenceMove, moveFence } from '../fence/moves.ts';
import { HALF_SEALED_MEMORY, SEALED_MEMORY, uuidOf } from '../host-paths.ts';
import { done, type Outcome, setBack } from '../outcome.ts';
import { readVm } from '../vm-record.ts';
import {
  definitionOf,
  dropSecrets,
  isOff,
  letRun,
  provideSecrets,
  recordedKeys,
  savesStill,
  stateOf,
  unlockDisks,
} from './domains.ts';
import { restoreMemory } from './memory.ts';
import { keepPermit, withStartTicket } from './permit.ts';
import { stateBefore } from './quiesce.ts';
import { fateFacts, fatesOf, lookBeforeShredding, shredAll } from './shred.ts';
import { finished, openPassphrases, type Step, type StepContext, testify } from './step.ts';
import { stepKey } from './step-key.ts';
import { endVtpmCopy } from './vtpm.ts';

type Resume = CommandOf<'resume'>;

/** The epoch in which it was stopped: a broken glass resumes in another. */
const stoppedIn = ({ epoch, body: { proof } }: Resume): number => (proof.kind === 'broke-glass' ? proof.surrendered : epoch);

const reopening = ({ epoch, body: { proof } }: Resume): FenceMove =>
  proof.kind === 'broke-glass'
    ? { kind: 'breakGlass', epoch, surrendered: proof.surrendered }
    : { kind: 'reopen', epoch, proof: proof.kind };

/** The source runs its VM again. After a surrender only the peer's relinquishment or a broken glass opens it; its digest goes into the register. */
export const resume: Step<'resume'> = async (command, context) => {
  const { vm, epoch, body } = command;
  const { ports, fence } = context;
  const spec = await readVm(ports.files, ports.paths, vm);
  if (spec === undefined) return refused('VM_NOT_HERE');
  const entry = await fence.read(vm);
  if (!entry.ok) return entry.setback;
  const move = reopening(command);
  const allowed = moveFence(entry.value, move, { vm, because: body.proof.event, time: ports.clock.now() });
  if (!allowed.ok) return allowed.setback;
  const unpermitted = await keepPermit(context, command);
  if (unpermitted !== undefined) return unpermitted;

  await context.intend({});
  await ports.artifacts.unserve(command.migration);
  for (const { artifact } of spec.disks) await ports.artifacts.unseal(ports.paths.volume(vm, artifact));
  await endVtpmCopy(context, vm, spec.tpm);
  const was = stateBefore(context.log.intent(stepKey({ step: 'quiesce', epoch: stoppedIn(command) }))?.seen);
  const ranBefore = was === 'running' || was === 'paused';
  const reopened = await fence.move(move, { vm, because: body.proof.event, time: ports.clock.now() });
  if (!reopened.ok) return reopened.setback;
  // Held on until its memory is restored and gone: were it started and stopped by others before, its memory would meet disks that have moved on.
  const back = ranBefore ? await bringBack(command, withStartTicket(context, command), spec) : done(undefined);
  if (!back.ok) return back.setback;
  await ports.files.remove(ports.paths.startTicket(vm));
  const mine = await fence.move({ kind: 'letGo', epoch }, { vm, because: body.proof.event, time: ports.clock.now() });
  if (!mine.ok) return mine.setback;
  if (ranBefore) await letRun(context, vm);
  const facts = await ports.hypervisor.find(uuidOf(vm));
  const state = facts?.state ?? 'absent';
  if (ranBefore && state !== 'running') return failed('VM_CRASHED', `(${state})`);
  return finished(
    { step: 'resume', ran: ranBefore },
    testify(context, command, 'resumed', {
      state,
      ran: ranBefore,
      register: mine.value.standing,
      ...(back.value === undefined ? {} : { memory: back.value }),
    }),
  );
};

/**
 * Observation decides: off is started anew, from memory while its single use is left. Not a vCPU runs yet, unless it never stopped. Answers whether
 * one that was off goes on from its memory or boots.
 */
async function bringBack(command: Resume, context: StepContext, spec: VmSpec): Promise<Outcome<'restored' | 'none' | undefined>> {
  const { vm, body } = command;
  const { ports } = context;
  const busy = await savesStill(context, vm);
  if (busy !== undefined) return setBack(busy);
  let memory: 'restored' | 'none' | undefined;
  if (isOff(await stateOf(context, vm))) {
    const definition = await definitionOf(context, vm, spec);
    if (!definition.ok) return definition;
    const passphrases = await openPassphrases(context, command, keysOf(spec), body.secrets);
    if (!passphrases.ok) return passphrases;
    const locked = await unlockDisks(context, definition.value.disks, passphrases.value);
    if (locked !== undefined) return setBack(locked);
    await ports.hypervisor.define(definition.value);
    await provideSecrets(context, vm, passphrases.value);
    const restored = await restoreMemory(context, command, body.memory, definition.value);
    if (!restored.ok) return restored;
    if (restored.value === 'none') await ports.hypervisor.startHeld(uuidOf(vm));
    memory = restored.value;
  }
  await endSealedMemory(context, vm);
  return done(memory);
}

/**
 * Gone before the first instruction: memory restored a second time would meet disks that have moved on. By what lies there, for a broker
 * that has lost the key of a state does not name it.
 */
async function endSealedMemory({ ports: { artifacts, files, paths } }: StepContext, vm: Resume['vm']): Promise<void> {
  for (const path of (await files.list(paths.home(vm))).map((name) => join(paths.home(vm), name))) {
    if (!path.endsWith(SEALED_MEMORY) && !path.endsWith(HALF_SEALED_MEMORY)) continue;
    await artifacts.unseal(path);
    await files.remove(path);
  }
}

/** Ends what is left of a VM that was given away and runs elsewhere. The register keeps its entry for ever. */
export const retire: Step<'retire'> = async (command, context) => {
  const { vm, epoch } = command;
  const { ports, fence } = context;
  const entry = await fence.read(vm);
  if (!entry.ok) return entry.setback;
  const { value } = entry;
  if (value?.epoch !== epoch || value.standing !== 'surrendered' || value.role !== 'source') return refused('NOT_SURRENDERED');
  if (!isOff(await stateOf(context, vm))) return refused('VM_RUNNING');
  const spec = await readVm(ports.files, ports.paths, vm);
  const [home, vtpmHome] = [ports.paths.home(vm), ports.paths.vtpmHome(vm)];
  const seen = await context.intend(await lookBeforeShredding(context, [home]));
  await ports.artifacts.unserve(command.migration);
  await ports.hypervisor.undefine(uuidOf(vm));
  await dropSecrets(context, recordedKeys(spec));
  await ports.files.remove(ports.paths.clearMemory(vm));
  await shredAll(context, [home, vtpmHome]);
  await ports.permits.forget(vm);
  await ports.files.remove(ports.paths.spec(vm));
  const fates = fatesOf(seen);
  const artifacts = fates.map(({ artifact }) => artifact);
  const left = (await Promise.all([home, vtpmHome].map((folder) => ports.files.list(folder)))).flat().length;
  const state = await stateOf(context, vm);
  return finished(
    { step: 'retire', artifacts, fates },
    testify(context, command, 'destroyed', { state, filesLeft: left, artifacts: artifacts.length, ...fateFacts(fates) }),
  );
};
