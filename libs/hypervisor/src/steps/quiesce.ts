import { failed, refused, type Setback } from '../codes.ts';
import type { CommandOf } from '../command/command.ts';
import { type VmState, vmState } from '../command/result.ts';
import { moveFence } from '../fence/moves.ts';
import { uuidOf } from '../host-paths.ts';
import { SAVE_AGAIN_MS, SAVES_MAX } from '../limits.ts';
import { SAVED_STATE_HEAD_BYTES, savedStateFault } from '../saved-state.ts';
import { readVm } from '../vm-record.ts';
import { lacksRoomToSave } from './agreement.ts';
import { insist, isOff, savesStill, stateOf, stopDomain } from './domains.ts';
import { memoryKey } from './memory.ts';
import { endSecondNames } from './reencrypt-volume.ts';
import { finished, isGivenUp, moveFor, openSecret, type Step, type StepContext, testify } from './step.ts';
import { copyVtpm } from './vtpm.ts';

type Quiesce = CommandOf<'quiesce'>;
type Quiet = { readonly forced: boolean; readonly memoryBytes: number };

/** The state before the stop, as the first intent of this epoch recorded it. */
export const stateBefore = (seen: { readonly [key: string]: unknown } | undefined): VmState =>
  vmState.catch('absent').parse(seen?.['was']);

/**
 * Stops the VM for its migration. The register is raised first, so that from here on nothing starts it but `resume`, and every
 * command of an older epoch is refused.
 */
export const quiesce: Step<'quiesce'> = async (command, context) => {
  const { vm, epoch, body } = command;
  const { ports, fence } = context;
  if (isGivenUp(context, command)) return refused('EPOCH_FENCED', 'It resumes.');
  const spec = await readVm(ports.files, ports.paths, vm);
  const now = await stateOf(context, vm);
  if (spec === undefined || now === 'absent') return refused('VM_NOT_HERE');
  if ((body.mode === 'suspend') !== (body.memory !== undefined))
    return refused('COMMAND_MALFORMED', 'A memory key belongs to mode suspend.');
  const entry = await fence.read(vm);
  if (!entry.ok) return entry.setback;
  const allowed = moveFence(entry.value, { kind: 'hold', epoch }, { vm, because: command.because, time: ports.clock.now() });
  if (!allowed.ok) return allowed.setback;
  const isHeld = entry.value?.epoch === epoch;
  if (body.mode === 'suspend' && !isHeld) {
    const unfit = now === 'running' ? await lacksRoomToSave(context, spec) : refused('VM_NOT_RUNNING');
    if (unfit !== undefined) return unfit;
  }

  const was = stateBefore(await context.intend({ was: now }));
  const held = await moveFor(context, command, { kind: 'hold', epoch });
  if (!held.ok) return held.setback;
  await ports.hypervisor.autostartOff(uuidOf(vm));
  const quiet = body.memory === undefined ? await stopCold(command, context) : await suspend(command, context, body.memory);
  if ('status' in quiet) return quiet;
  return observeStopped(command, context, was, quiet);
};

const stopCold = async ({ vm, body }: Quiesce, context: StepContext): Promise<Quiet> => ({
  ...(await stopDomain(context, vm, body.graceSeconds)),
  memoryBytes: 0,
});

/** Saves to tmpfs, seals at once, removes the clear state. What is already there after a crash is not made again. */
async function suspend(
  command: Quiesce,
  context: StepContext,
  memory: NonNullable<Quiesce['body']['memory']>,
): Promise<Quiet | Setback> {
  const { vm } = command;
  const { files, paths, artifacts } = context.ports;
  const [clear, sealed] = [paths.clearMemory(vm), paths.sealedMemory(vm, memory.artifact)];
  const sealedBytes = await files.size(sealed);
  if (sealedBytes !== undefined) {
    await files.remove(clear);
    return { forced: false, memoryBytes: sealedBytes };
  }
  const key = await openSecret(context, command, 'seal', memory.secret);
  if (!key.ok) return key.setback;
  const busy = await savesStill(context, vm);
  if (busy !== undefined) return busy;
  const refusal = await saveMemory(context, vm);
  if (refusal !== undefined) return refusal;
  // Off without a whole state: the guest ended by itself, or the host lost its tmpfs. Its memory is gone.
  if (savedStateFault(await files.head(clear, SAVED_STATE_HEAD_BYTES)) !== undefined) {
    await files.remove(clear);
    return { ...failed('MEMORY_STATE_LOST'), retryable: false };
  }
  const half = paths.halfSealedMemory(vm, memory.artifact);
  const made = await artifacts.sealMemory(clear, half, memoryKey(command, memory.artifact, key.value));
  if (!made.ok) return made.setback;
  await files.rename(half, sealed);
  await files.remove(clear);
  return { forced: false, memoryBytes: (await files.size(sealed)) ?? 0 };
}

/**
 * Once the guest is off there is nothing more to save. One that libvirt refuses to save again and again (its vTPM died, tmpfs is
 * full) runs on, and the move ends: asking until its deadline would mend nothing, and stop the guest for a moment each time.
 */
async function saveMemory(context: StepContext, vm: Quiesce['vm']): Promise<Setback | undefined> {
  const { files, paths, hypervisor } = context.ports;
  const refusal = await insist(context, {
    times: SAVES_MAX,
    pauseMs: SAVE_AGAIN_MS,
    isDone: async () => isOff(await stateOf(context, vm)),
    act: async () => {
      await files.remove(paths.clearMemory(vm));
      await hypervisor.save(uuidOf(vm), paths.clearMemory(vm));
    },
  });
  if (refusal === undefined) return undefined;
  await files.remove(paths.clearMemory(vm));
  return { ...failed('MEMORY_NOT_SAVED', refusal.text), retryable: false };
}

/** Evidence is what libvirt says after the effect, never what was asked for. */
async function observeStopped(command: Quiesce, context: StepContext, was: VmState, quiet: Quiet) {
  const { ports } = context;
  const { vm, body } = command;
  const facts = await ports.hypervisor.find(uuidOf(vm));
  if (facts === undefined || !isOff(facts.state)) return failed('VM_RUNNING');
  const spec = await readVm(ports.files, ports.paths, vm);
  await endSecondNames(context, vm, spec?.disks ?? []);
  const disks = await Promise.all(
    (spec?.disks ?? []).map(async ({ artifact }) => ({
      artifact,
      kind: 'disk' as const,
      sizeBytes: (await ports.files.size(ports.paths.volume(vm, artifact))) ?? 0,
    })),
  );
  const vtpms = await copyVtpm(context, vm, spec?.tpm);
  if (!vtpms.ok) return vtpms.setback;
  const memory =
    body.memory === undefined ? [] : [{ artifact: body.memory.artifact, kind: 'memory' as const, sizeBytes: quiet.memoryBytes }];
  const evidence = testify(context, command, body.mode === 'suspend' ? 'saved' : 'stopped', {
    state: facts.state,
    reason: facts.reason,
    autostart: facts.autostart,
    was,
    forced: quiet.forced,
    memoryBytes: quiet.memoryBytes,
  });
  return finished({ step: 'quiesce', was, forced: quiet.forced, artifacts: [...disks, ...vtpms.value, ...memory] }, evidence);
}
