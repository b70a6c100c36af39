import type { ArtifactId, Digest, Epoch, VmId } from '@carnet/events';
import { failed, HostError, refused, type Setback } from '../codes.ts';
import type { StepProgress } from '../command/report.ts';
import { LUKS_SLOTS } from '../limits.ts';
import { done, type Outcome, setBack } from '../outcome.ts';
import { createSecond, fillSecond } from './second-volume.ts';
import { shred } from './shred.ts';
import type { StepContext } from './step.ts';

/** One volume in staging, with the passphrase that came with it and the one that takes its place. */
export type Arrived = {
  readonly vm: VmId;
  readonly epoch: Epoch;
  readonly artifact: ArtifactId;
  readonly capacityBytes: number;
  readonly from: Uint8Array;
  readonly to: Uint8Array;
};

const stagedPath = ({ ports: { paths } }: StepContext, { vm, epoch, artifact }: Arrived): string =>
  paths.staged(vm, epoch, artifact);

/** The header is judged by our own parser each time before a qemu tool sees it. */
async function opens({ ports }: StepContext, path: string, passphrase: Uint8Array): Promise<Outcome<boolean>> {
  const header = await ports.artifacts.guard(path);
  if (!header.ok) return header;
  const opened = await ports.volumes.unlock(path, passphrase);
  if (opened.ok) return done(true);
  return opened.setback.code === 'LUKS_DOES_NOT_OPEN' ? done(false) : opened;
}

/** The slot that the new passphrase will have: the first that is free, chosen before anything is written. */
export function freeSlot(activeSlots: readonly number[]): number | undefined {
  return Array.from({ length: LUKS_SLOTS }, (_, i) => i).find((i) => !activeSlots.includes(i));
}

/**
 * The new passphrase into its slot, then every other slot erased: the volume opens all the time, and observation says what is
 * left to do. A peer's second slot goes, too.
 */
export async function swapSlot(context: StepContext, volume: Arrived, slot: number): Promise<Setback | undefined> {
  const { artifacts, volumes, files } = context.ports;
  const path = stagedPath(context, volume);
  if ((await files.size(path)) === undefined) return refused('ARTIFACT_MISSING', `(${volume.artifact})`);
  const added = await opens(context, path, volume.to);
  if (!added.ok) return added.setback;
  if (!added.value) {
    const before = await artifacts.luksPlace(path);
    if (!before.ok) return before.setback;
    // In use, and our passphrase does not open it: a crash left it half made.
    const half = before.value.activeSlots.includes(slot) ? await volumes.eraseSlot(path, volume.from, slot) : done(undefined);
    if (!half.ok) return half.setback;
    const made = await volumes.addKey(path, volume.from, volume.to, slot);
    if (!made.ok) return made.setback;
  }
  const place = await artifacts.luksPlace(path);
  if (!place.ok) return place.setback;
  for (const other of place.value.activeSlots.filter((active) => active !== slot)) {
    const erased = await volumes.eraseSlot(path, volume.to, other);
    if (!erased.ok) return erased.setback;
  }
  await files.flush(path);
  return undefined;
}

/**
 * A new volume beside the old one, with a volume key of its own, filled by conversion and put in its place; the old one's header is
 * overwritten. After a crash a half-made one is made anew, a finished one is found by its passphrase.
 */
export async function encryptAgain(
  context: StepContext,
  volume: Arrived,
  onProgress: (progress: StepProgress) => void,
): Promise<Setback | undefined> {
  const { files, paths } = context.ports;
  const { vm, epoch, artifact } = volume;
  const path = stagedPath(context, volume);
  const [making, replaced] = [paths.rekeying(vm, epoch, artifact), paths.rekeyed(vm, epoch, artifact)];
  // Between the two renames: what was made was whole and flushed before the first of them.
  const crashed = (await files.size(path)) === undefined && (await files.size(replaced)) !== undefined;
  if (crashed && (await files.size(making)) !== undefined) await files.rename(making, path);
  if ((await files.size(path)) === undefined) return refused('ARTIFACT_MISSING', `(${artifact})`);
  const isNew = await opens(context, path, volume.to);
  if (!isNew.ok) return isNew.setback;
  if (!isNew.value) {
    const { capacityBytes, from, to } = volume;
    const ends = { from: { path, passphrase: from }, to: { path: making, passphrase: to } };
    const second = { artifact, capacityBytes, ...ends };
    const setback = (await createSecond(context, second)) ?? (await fillSecond(context, second, onProgress));
    if (setback !== undefined) return setback;
    await files.flush(making);
    await files.rename(path, replaced);
    await files.rename(making, path);
  }
  await shred(context, replaced);
  await files.remove(making);
  return undefined;
}

/** The header as it is now, if only the new passphrase opens the volume; anything else is an accident that must not pass. */
export async function provenHeader(context: StepContext, volume: Arrived): Promise<Outcome<Digest>> {
  const path = stagedPath(context, volume);
  const header = await context.ports.artifacts.guard(path);
  if (!header.ok) return header;
  const place = await context.ports.artifacts.luksPlace(path);
  if (!place.ok) return place;
  const [isNew, isOld] = [await opens(context, path, volume.to), await opens(context, path, volume.from)];
  if (!isNew.ok) return isNew;
  if (!isOld.ok) return isOld;
  if (!isNew.value) return setBack(refused('LUKS_DOES_NOT_OPEN', `(${volume.artifact})`));
  if (isOld.value || place.value.activeSlots.length !== 1)
    throw new HostError(failed('TOOL_FAILED', 'An old key slot is still in use.'));
  return done(header.value.headerDigest);
}
