import type { ArtifactId } from '@carnet/events';
import { refused, type Setback } from '../codes.ts';
import type { StepProgress } from '../command/report.ts';
import { DISK_OVERHEAD_BYTES } from '../limits.ts';
import type { StepContext } from './step.ts';

type Locked = { readonly path: string; readonly passphrase: Uint8Array };

/** A volume, and the one that is made beside it to take its place. */
export type Replacement = {
  readonly artifact: ArtifactId;
  readonly capacityBytes: number;
  readonly from: Locked;
  readonly to: Locked;
};

/** An empty volume, as large as the old one and with a volume key of its own; a half-made one is made anew. */
export async function createSecond(
  { ports }: StepContext,
  { artifact, capacityBytes, from, to }: Replacement,
): Promise<Setback | undefined> {
  const { files, volumes, artifacts, paths } = ports;
  await files.remove(to.path);
  const header = await artifacts.guard(from.path);
  if (!header.ok) return header.setback;
  if (header.value.capacityBytes !== capacityBytes)
    return refused('SPEC_MISMATCH', `Disk ${artifact} has ${header.value.capacityBytes} bytes.`);
  // By rule, not by accident: a disk that is full now gives the VM back instead of trying for ever.
  const neededBytes = header.value.sizeBytes + DISK_OVERHEAD_BYTES;
  if ((await files.freeBytes(paths.volumesDir)) < neededBytes)
    return refused('NO_ROOM', `A second copy of disk ${artifact} needs ${neededBytes} bytes.`);
  await volumes.createBlank(to.path, capacityBytes, to.passphrase);
  return undefined;
}

/** Converts the old volume into the new one; whoever puts it in its place flushes it first. Nothing else has either of them open. */
export async function fillSecond(
  { ports, signal }: StepContext,
  { capacityBytes, from, to }: Replacement,
  onProgress: (progress: StepProgress) => void,
): Promise<Setback | undefined> {
  const copied = await ports.volumes.copyInto(from, to, { signal, onProgress, totalBytes: capacityBytes });
  return copied.ok ? undefined : copied.setback;
}
