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

type Starting = CommandOf<'start'> | CommandOf<'resume'>;

/**
 * Restores a VM's memory, vCPUs held, from its sealed state. `none`: there is no memory state (any more), so the caller starts afresh. A source whose
 * memory was saved whole and never sealed (its disk was full, its agent died) goes on from what lies in tmpfs, for which no key is needed.
 */
export async function restoreMemory(
  context: StepContext,
  command: Starting,
  memory: MemorySecret | undefined,
  definition: DomainDefinition,
): Promise<Outcome<'none' | 'restored'>> {
  const { files, paths } = context.ports;
  if (memory !== undefined && (await files.size(paths.sealedMemory(command.vm, memory.artifact))) !== undefined)
    return restoreSealed(context, command, memory, definition);
  const clear = paths.clearMemory(command.vm);
  const isWhole = savedStateFault(await files.head(clear, SAVED_STATE_HEAD_BYTES)) === undefined;
  // It is the only copy, and stays until the guest is let run: libvirt may be away for a moment.
  return command.step === 'resume' && isWhole ? insistOn(context, command, clear, definition) : done('none');
}

/**
 * Unsealed into tmpfs, judged, restored with our own definition, and removed whatever happened. `none` at the source if the state does not open, for
 * its key was lost with a database and made anew: nobody else has that memory, and a VM that stays off for ever is worse than one that boots from its
 * disks, as after a power cut. A target refuses: the source still has the VM.
 */
async function restoreSealed(
  context: StepContext,
  command: Starting,
  memory: MemorySecret,
  definition: DomainDefinition,
): Promise<Outcome<'none' | 'restored'>> {
  const { files, paths, artifacts, hypervisor } = context.ports;
  if (!(await files.isTmpfs(paths.tmpfsDir))) return setBack(refused('TMPFS_REQUIRED'));
  const key = await openSecret(context, command, 'unseal', memory.secret);
  if (!key.ok) return key;
  const [sealed, clear] = [paths.sealedMemory(command.vm, memory.artifact), paths.clearMemory(command.vm)];
  await files.remove(clear);
  try {
    const opened = await artifacts.openMemory(sealed, clear, memoryKey(savedFor(command), memory.artifact, key.value));
    const fault = opened.ok ? savedStateFault(await files.head(clear, SAVED_STATE_HEAD_BYTES)) : opened.setback;
    if (fault !== undefined) return command.step === 'resume' && fault.code === LOST ? done('none') : setBack(fault);
    if (command.step === 'resume') return await insistOn(context, command, clear, definition);
    await hypervisor.restoreHeld(clear, definition);
    return done('restored');
  } finally {
    await files.remove(clear);
  }
}

/** `none`: libvirt restores it at no try (this host has another QEMU since). */
async function insistOn(
  context: StepContext,
  { vm }: Pick<MigrationCommand, 'vm'>,
  clear: string,
  definition: DomainDefinition,
): Promise<Outcome<'none' | 'restored'>> {
  const refusal = await insist(context, {
    times: RESTORES_MAX,
    pauseMs: RESTORE_AGAIN_MS,
    isDone: async () => !isOff(await stateOf(context, vm)),
    act: () => context.ports.hypervisor.restoreHeld(clear, definition),
  });
  return done(refusal === undefined ? 'restored' : 'none');
}
