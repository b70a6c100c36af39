import type { ArtifactId } from '@carnet/events';
import { type HostCode, refused } from '../codes.ts';
import type { CommandOf, MigrationCommand } from '../command/command.ts';
import type { MemorySecret } from '../command/scalars.ts';
import { RESTORE_AGAIN_MS, RESTORES_MAX } from '../limits.ts';
import { done, type Outcome, setBack } from '../outcome.ts';
import type { MemoryKey } from '../ports/artifacts.ts';
import type { DomainDefinition } from '../ports/hypervisor.ts';
import { SAVED_STATE_HEAD_BYTES, savedStateFault } from '../saved-state.ts';
import { insist, isOff, stateOf } from './domains.ts';
import { openSecret, type StepContext } from './step.ts';

/** One memory state of one VM in one epoch: a state of another attempt does not open under this one. */
export const memoryKey = (
  { vm, epoch }: Pick<MigrationCommand, 'vm' | 'epoch'>,
  artifact: ArtifactId,
  key: Uint8Array,
): MemoryKey => ({
  key,
  context: Buffer.from(['carnet/memory-state/v1', vm, epoch, artifact].join('\n')),
});

const LOST: HostCode = 'MEMORY_STATE_REFUSED';

/** The attempt in which it was saved: a broken glass resumes in another epoch. */
const savedFor = (command: CommandOf<'start'> | CommandOf<'resume'>): Pick<MigrationCommand, 'vm' | 'epoch'> =>
  command.step === 'resume' && command.body.proof.kind === 'broke-glass'
    ? { vm: command.vm, epoch: command.body.proof.surrendered }
    : command;

/** Saved whole and never sealed (its disk was full, or the agent died): the source still has it in the clear, and it is what the VM goes on from. */
const isWholeInClear = async ({ ports: { files, paths } }: StepContext, { vm }: Pick<MigrationCommand, 'vm'>): Promise<boolean> =>
  savedStateFault(await files.head(paths.clearMemory(vm), SAVED_STATE_HEAD_BYTES)) === undefined;

/**
 * Restores a VM's memory, vCPUs held, from its sealed state: unsealed into tmpfs, judged, restored with our own definition, and
 * removed whatever happened. `none`: there is no memory state (any more), so the caller starts afresh. So it does at the source if the state
 * does not open, for its key was lost with a database and made anew, or if libvirt restores it at no try (this host has another QEMU since): nobody
 * else has that memory, and a VM that stays off for ever is worse than one that boots from its disks, as after a power cut. A target refuses: the
 * source still has the VM.
 */
export async function restoreMemory(
  context: StepContext,
  command: CommandOf<'start'> | CommandOf<'resume'>,
  memory: MemorySecret | undefined,
  definition: DomainDefinition,
): Promise<Outcome<'none' | 'restored'>> {
  const { files, paths, artifacts, hypervisor } = context.ports;
  const { vm } = command;
  if (memory === undefined) return done('none');
  const [sealed, clear] = [paths.sealedMemory(vm, memory.artifact), paths.clearMemory(vm)];
  const isSealed = (await files.size(sealed)) !== undefined;
  if (!isSealed && !(command.step === 'resume' && (await isWholeInClear(context, command)))) return done('none');
  if (!(await files.isTmpfs(paths.tmpfsDir))) return setBack(refused('TMPFS_REQUIRED'));
  const key = await openSecret(context, command, 'unseal', memory.secret);
  if (!key.ok) return key;
  if (isSealed) await files.remove(clear);
  try {
    const opened = isSealed
      ? await artifacts.openMemory(sealed, clear, memoryKey(savedFor(command), memory.artifact, key.value))
      : done(undefined);
    const fault = opened.ok ? savedStateFault(await files.head(clear, SAVED_STATE_HEAD_BYTES)) : opened.setback;
    if (fault !== undefined) return command.step === 'resume' && fault.code === LOST ? done('none') : setBack(fault);
    const restore = () => hypervisor.restoreHeld(clear, definition);
    if (command.step === 'start') {
      await restore();
      return done('restored');
    }
    const isDone = async () => !isOff(await stateOf(context, vm));
    const refusal = await insist(context, { times: RESTORES_MAX, pauseMs: RESTORE_AGAIN_MS, isDone, act: restore });
    return done(refusal === undefined ? 'restored' : 'none');
  } finally {
    await files.remove(clear);
  }
}
