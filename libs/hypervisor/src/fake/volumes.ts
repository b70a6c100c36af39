import { type Digest, digest } from '@carnet/events';
import { z } from 'zod';
import { failed, HostError, refused } from '../codes.ts';
import { sha256 } from '../digest.ts';
import { done, type Outcome, setBack } from '../outcome.ts';
import type { GuardedHeader, LuksPlace } from '../ports/artifacts.ts';
import type { HostFiles } from '../ports/files.ts';
import type { Volumes } from '../ports/volumes.ts';
import { rawDiskFault } from '../raw-disk.ts';
import type { MemoryFiles } from './memory-files.ts';

/** A pretended LUKS volume: says what it is, and which passphrase opens each key slot. `marker` is what its guest last wrote. */
const fakeVolume = z
  .strictObject({
    fake: z.literal('luks'),
    capacityBytes: z.int(),
    /** Stands for the volume key: made anew with each volume, and the same behind every passphrase. */
    volumeKey: digest,
    slots: z.array(digest.nullable()).readonly(),
    marker: z.string(),
  })
  .readonly();
export type FakeVolume = z.infer<typeof fakeVolume>;

export const readFakeVolume = async (files: HostFiles, path: string): Promise<FakeVolume | undefined> => {
  const bytes = await files.read(path);
  try {
    return bytes === undefined ? undefined : fakeVolume.safeParse(JSON.parse(bytes.toString('utf8'))).data;
  } catch {
    return undefined;
  }
};
export const writeFakeVolume = (files: HostFiles, path: string, volume: FakeVolume): Promise<void> =>
  files.write(path, Buffer.from(JSON.stringify(volume)));

const headerOf = ({ capacityBytes, volumeKey, slots }: FakeVolume): Digest =>
  sha256(JSON.stringify([capacityBytes, volumeKey, slots]));

const madeWith = (capacityBytes: number, passphrase: Uint8Array, marker: string, nth = 0): FakeVolume => ({
  fake: 'luks',
  capacityBytes,
  volumeKey: sha256(`volume key ${nth} of ${sha256(passphrase)}`),
  slots: [sha256(passphrase)],
  marker,
});

const activeIn = ({ slots }: FakeVolume): readonly number[] => slots.flatMap((slot, i) => (slot === null ? [] : [i]));

/** Its file is its header. */
export async function placeFakeHeader(files: HostFiles, path: string): Promise<Outcome<LuksPlace>> {
  const volume = await readFakeVolume(files, path);
  if (volume === undefined) return setBack(refused('IMAGE_REFUSED'));
  return done({ offset: 0, bytes: (await files.size(path)) ?? 0, activeSlots: activeIn(volume) });
}

/** Anything that is not a pretended volume is a hostile header. */
export async function guardFakeVolume(files: HostFiles, path: string): Promise<Outcome<GuardedHeader>> {
  const volume = await readFakeVolume(files, path);
  if (volume === undefined) return setBack(refused('IMAGE_REFUSED'));
  return done({ capacityBytes: volume.capacityBytes, sizeBytes: (await files.size(path)) ?? 0, headerDigest: headerOf(volume) });
}

/** A plain disk's first text is what its pretended volume holds. */
const MARKER_CHARS_MAX = 80;

export function fakeVolumes(files: MemoryFiles): Volumes {
  let made = 0;
  const opened = async (path: string, passphrase: Uint8Array): Promise<Outcome<FakeVolume>> => {
    const volume = await readFakeVolume(files, path);
    if (volume === undefined) throw new HostError(failed('TOOL_FAILED'));
    return volume.slots.includes(sha256(passphrase)) ? done(volume) : setBack(refused('LUKS_DOES_NOT_OPEN'));
  };
  return {
    encryptRaw: async ({ from, to, passphrase, roomBytes, onProgress, signal }) => {
      if (files.isLink(from)) return setBack(refused('IMPORT_REFUSED'));
      const raw = await files.read(from);
      if (raw === undefined) return setBack(refused('IMPORT_MISSING'));
      const sizes = { sizeBytes: raw.length, allocatedBytes: raw.length };
      const fault = rawDiskFault(sizes, roomBytes);
      if (fault !== undefined) return setBack(fault);
      if (signal.aborted) throw new HostError(failed('STEP_ABORTED'));
      const marker = raw.toString('utf8').replaceAll('\0', '').slice(0, MARKER_CHARS_MAX);
      await writeFakeVolume(files, to, madeWith(raw.length, passphrase, marker));
      onProgress({ doneBytes: raw.length, totalBytes: raw.length, bytesPerSecond: raw.length });
      return done(undefined);
    },
    createBlank: (path, capacityBytes, passphrase) => {
      made += 1;
      return writeFakeVolume(files, path, madeWith(capacityBytes, passphrase, '', made));
    },
    addKey: async (path, have, add, slot) => {
      const volume = await opened(path, have);
      if (!volume.ok) return volume;
      const slots = Array.from(
        { length: Math.max(volume.value.slots.length, slot + 1) },
        (_, i) => volume.value.slots[i] ?? null,
      );
      if (slots[slot] !== null) throw new HostError(failed('TOOL_FAILED'));
      await writeFakeVolume(files, path, { ...volume.value, slots: slots.with(slot, sha256(add)) });
      return done(undefined);
    },
    eraseSlot: async (path, keep, slot) => {
      const volume = await opened(path, keep);
      if (!volume.ok) return volume;
      const active = activeIn(volume.value);
      if (!active.includes(slot) || active.length === 1) throw new HostError(failed('TOOL_FAILED'));
      await writeFakeVolume(files, path, { ...volume.value, slots: volume.value.slots.with(slot, null) });
      return done(undefined);
    },
    copyInto: async (from, to, { onProgress, totalBytes = 0, signal }) => {
      if (signal.aborted) throw new HostError(failed('STEP_ABORTED'));
      const [source, target] = [await opened(from.path, from.passphrase), await opened(to.path, to.passphrase)];
      if (!source.ok) return source;
      if (!target.ok) return target;
      await writeFakeVolume(files, to.path, { ...target.value, marker: source.value.marker });
      onProgress?.({ doneBytes: totalBytes, totalBytes, bytesPerSecond: totalBytes });
      return done(undefined);
    },
    unlock: async (path, passphrase) => {
      const volume = await opened(path, passphrase);
      return volume.ok ? done(undefined) : volume;
    },
  };
}
