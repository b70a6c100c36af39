import type { ArtifactId, Digest, SealedArtifact, VerifiedRoots, VmDisk, VmSpec } from '@carnet/events';
import { type VolumeFacts, VTPM_BYTES_MAX } from '@carnet/hypervisor';
import { MEMORY_OVERHEAD_BYTES, OVERHEAD_BYTES, OVERHEAD_DIVISOR } from './limits.ts';

/** Chunks travel in this size: measured best for throughput, and 64 in flight stay inside the memory bound of a transfer. */
export const CHUNK_BYTES = 1_048_576;

/** A disk as the deposit binds it: its key, its size, and the header that opened. */
export interface DepositVolume {
  readonly disk: VmDisk;
  readonly headerDigest: Digest;
}

/** The host's facts by artifact. A host that tells of fewer volumes than it was asked for is broken. */
export function depositVolumes(disks: readonly VmDisk[], facts: readonly VolumeFacts[]): readonly DepositVolume[] {
  return disks.map((disk) => {
    const found = facts.find((fact) => fact.artifact === disk.artifact);
    if (found === undefined) throw new Error(`the host reported no volume ${disk.artifact}`);
    return { disk, headerDigest: found.headerDigest };
  });
}

const byArtifact = (a: { readonly artifact: ArtifactId }, b: { readonly artifact: ArtifactId }): number =>
  a.artifact < b.artifact ? -1 : 1;

/** One order for everyone, so that both sides' lists of roots compare as they stand. */
export const sealedArtifactsOf = (artifacts: readonly SealedArtifact[]): readonly SealedArtifact[] =>
  artifacts.toSorted(byArtifact);
export const rootsOf = (artifacts: readonly { readonly artifact: ArtifactId; readonly root: Digest }[]): VerifiedRoots =>
  artifacts.map(({ artifact, root }) => ({ artifact, root })).toSorted(byArtifact);

const MIB = 1_048_576;

/** Whether each artifact is within what was reserved for it. Threat: a peer fills our disk with an image that it calls a small VM's. */
export function fitsRoom({ disks, tpm, memoryMiB }: VmSpec, artifacts: readonly SealedArtifact[]): boolean {
  return artifacts.every(({ artifact, kind, sizeBytes }) => {
    if (kind === 'memory') return sizeBytes <= memoryMiB * MIB + MEMORY_OVERHEAD_BYTES;
    if (kind === 'vtpm') return artifact === tpm?.artifact && sizeBytes <= VTPM_BYTES_MAX;
    const capacityBytes = disks.find((disk) => disk.artifact === artifact)?.capacityBytes;
    return (
      capacityBytes !== undefined && sizeBytes <= capacityBytes + Math.ceil(capacityBytes / OVERHEAD_DIVISOR) + OVERHEAD_BYTES
    );
  });
}
