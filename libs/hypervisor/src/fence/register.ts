import type { VmId } from '@carnet/events';
import { refused } from '../codes.ts';
import type { HostPaths } from '../host-paths.ts';
import { FENCE_FILE_BYTES_MAX } from '../limits.ts';
import { done, type Outcome, setBack } from '../outcome.ts';
import type { HostFiles } from '../ports/files.ts';
import { decodeEntry, encodeEntry, type FenceEntry } from './entry.ts';
import { type FenceMove, type MoveContext, moveFence } from './moves.ts';

/**
 * A host's fence register: one file for each federated VM, outside any database, flushed before the effect that relies on it.
 * A damaged file refuses its own VM and no other; a VM without a file is not federated.
 */
export type FenceRegister = {
  /** undefined: no entry. FENCE_UNREADABLE: there is one, and it cannot be trusted. */
  read(vm: VmId): Promise<Outcome<FenceEntry | undefined>>;
  /** Makes the move durable, or says why not. */
  move(move: FenceMove, context: MoveContext): Promise<Outcome<FenceEntry>>;
  /** Forgets a VM that never left home; others are remembered for ever. */
  forget(vm: VmId): Promise<void>;
};

export function openFenceRegister(files: HostFiles, paths: HostPaths): FenceRegister {
  const read = async (vm: VmId): Promise<Outcome<FenceEntry | undefined>> => {
    const bytes = await files.read(paths.fence(vm));
    if (bytes === undefined) return done(undefined);
    const entry = bytes.length > FENCE_FILE_BYTES_MAX ? undefined : decodeEntry(bytes);
    // Another VM's file under this name would let it run on that one's standing.
    return entry?.vm === vm ? done(entry) : setBack(refused('FENCE_UNREADABLE'));
  };
  return {
    read,
    move: async (move, context) => {
      const held = await read(context.vm);
      if (!held.ok) return held;
      const moved = moveFence(held.value, move, context);
      if (moved.ok && moved.value !== held.value) await files.write(paths.fence(context.vm), encodeEntry(moved.value));
      return moved;
    },
    forget: async (vm) => {
      const held = await read(vm);
      if (held.ok && held.value?.epoch === 0) await files.remove(paths.fence(vm));
    },
  };
}
