import type { ArtifactId, VmId, VmSpec } from '@carnet/events';
import { uuidOf } from '../host-paths.ts';
import { shred } from './shred.ts';
import type { StepContext } from './step.ts';

/** A disk in its place, of a VM that lives here. */
export type PlacedDisk = { readonly vm: VmId; readonly artifact: ArtifactId; readonly target: string };

export const placesOf = ({ ports: { paths } }: StepContext, { vm, artifact }: PlacedDisk) => ({
  path: paths.volume(vm, artifact),
  making: paths.reencrypting(vm, artifact),
  replaced: paths.reencrypted(vm, artifact),
});

/**
 * The new volume to the old one's path, and the old one aside. A guest may have it open: an open file keeps its inode. The guest
 * must be at rest, so that it runs only while the path names what it writes: whoever starts it next starts from there.
 */
export async function takePlace(context: StepContext, disk: PlacedDisk): Promise<void> {
  const { files } = context.ports;
  const { path, making, replaced } = placesOf(context, disk);
  await files.flush(making);
  if ((await files.size(path)) !== undefined) await files.rename(path, replaced);
  await files.rename(making, path);
}

/**
 * Brings what a crash left of an encryption to one side or the other; observation decides. The new volume is the disk where QEMU
 * (or, of a VM that is off, its definition) says so, or where the old one is aside already; otherwise the old one is.
 * `copy`: whether one that is under way goes on.
 */
export async function settleVolume(context: StepContext, disk: PlacedDisk, copy: 'goes-on' | 'ends'): Promise<void> {
  const { files, hypervisor } = context.ports;
  const uuid = uuidOf(disk.vm);
  const { path, making, replaced } = placesOf(context, disk);
  const isHere = async (file: string): Promise<boolean> => (await files.size(file)) !== undefined;
  if (await isHere(making)) {
    const isDisk = !(await isHere(path)) || (await hypervisor.diskFiles(uuid)).includes(making);
    if (isDisk) await takePlace(context, disk);
    else if (copy === 'goes-on' && (await hypervisor.copyState(uuid, disk.target)) !== undefined) return;
    else {
      await hypervisor.endCopy(uuid, disk.target, 'keep');
      await files.remove(making);
    }
  }
  if (await isHere(path)) await shred(context, replaced);
}

/** All disks, before a VM is started or stopped for good: no copy goes on. */
export async function settleVolumes(context: StepContext, vm: VmId, { disks }: VmSpec): Promise<void> {
  for (const { artifact, target } of disks) await settleVolume(context, { vm, artifact, target }, 'ends');
}
