import { type Digest, digest, timestamp, vmId } from '@carnet/events';
import { z } from 'zod';
import { sha256 } from '../digest.ts';

/**
 * What a host remembers of one VM for ever. `vcpus` refines `mine`: `held` means that nobody may start it though it is mine
 * (stopped by a migration, or arrived and not let go yet). `may-run` is written before the first vCPU runs, so its absence
 * proves that none of this epoch ran here.
 */
export const fenceEntry = z
  .strictObject({
    vm: vmId,
    epoch: z.int().min(0),
    standing: z.enum(['mine', 'surrendered', 'never']),
    vcpus: z.enum(['may-run', 'held']),
    role: z.enum(['home', 'source', 'target']),
    /** The event that moved it here: for a reopened surrender, the peer's relinquishment. */
    because: digest.nullable(),
    time: timestamp,
  })
  .readonly();
export type FenceEntry = z.infer<typeof fenceEntry>;

const fenceFile = z.strictObject({ v: z.literal(1), entry: fenceEntry, sum: digest }).readonly();

/** Of the values in a fixed order: no JSON writer's habits decide whether a file is sound. */
const sumOf = ({ vm, epoch, standing, vcpus, role, because, time }: FenceEntry): Digest =>
  sha256(JSON.stringify([vm, epoch, standing, vcpus, role, because, time]));

/** One line of JSON with a SHA-256 of its values: a torn or edited file reads as damage, never as another standing. */
export const encodeEntry = (entry: FenceEntry): Uint8Array =>
  Buffer.from(`${JSON.stringify({ v: 1, entry, sum: sumOf(entry) })}\n`);

/** undefined: damaged. */
export function decodeEntry(bytes: Uint8Array): FenceEntry | undefined {
  let parsed: unknown;
  try {
    parsed = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes));
  } catch {
    return undefined;
  }
  const file = fenceFile.safeParse(parsed);
  return file.success && sumOf(file.data.entry) === file.data.sum ? file.data.entry : undefined;
}
