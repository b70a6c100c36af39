import type { VmId } from '@carnet/events';
import { refused } from '../codes.ts';
import type { MemorySecret } from '../command/scalars.ts';
import { done, type Outcome, setBack } from '../outcome.ts';
import type { DomainDefinition } from '../ports/hypervisor.ts';
import { SAVED_STATE_HEAD_BYTES, savedStateFault } from '../saved-state.ts';
import { openSecret, type StepContext } from './step.ts';

/**
 * Restores a VM's memory, vCPUs held, from its sealed state: unsealed into tmpfs, judged, restored with our own definition, and
 * removed whatever happened. `none`: there is no memory state (any more), so the caller starts afresh.
 */
export async function restoreMemory(
  context: StepContext,
  vm: VmId,
  memory: MemorySecret | undefined,
  definition: DomainDefinition,
): Promise<Outcome<'none' | 'restored'>> {
  const { files, paths, artifacts, hypervisor } = context.ports;
  if (memory === undefined) return done('none');
  const sealed = paths.sealedMemory(vm, memory.artifact);
  if ((await files.size(sealed)) === undefined) return done('none');
  if (!(await files.isTmpfs(paths.tmpfsDir))) return setBack(refused('TMPFS_REQUIRED'));
  const key = await openSecret(context, vm, memory.secret);
  if (!key.ok) return key;
  const clear = paths.clearMemory(vm);
  await files.remove(clear);
  try {
    const opened = await artifacts.openMemory(sealed, clear, key.value);
    if (!opened.ok) return opened;
    const fault = savedStateFault(await files.head(clear, SAVED_STATE_HEAD_BYTES));
    if (fault !== undefined) return setBack(fault);
    await hypervisor.restoreHeld(clear, definition);
    return done('restored');
  } finally {
    await files.remove(clear);
  }
}
