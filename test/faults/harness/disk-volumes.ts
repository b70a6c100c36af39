import { createHash } from 'node:crypto';
import { digest } from '@carnet/events';
import {
  type Artifacts,
  done,
  failed,
  HostError,
  type HostFiles,
  type Outcome,
  refused,
  setBack,
  type Volumes,
} from '@carnet/hypervisor';

/** A pretended LUKS volume, as JSON: what passphrase opens each key slot, by its SHA-256, and what its guest last wrote. */
export type DiskVolume = {
  readonly fake: 'luks';
  readonly capacityBytes: number;
  /** Made anew with each volume, the same behind every passphrase. */
  readonly volumeKey: string;
  readonly slots: readonly (string | null)[];
  readonly marker: string;
};

const sha256 = (bytes: Uint8Array | string): string => createHash('sha256').update(bytes).digest('hex');

export async function readVolume(files: HostFiles, path: string): Promise<DiskVolume | undefined> {
  const bytes = await files.read(path);
  try {
    const volume = JSON.parse(bytes?.toString('utf8') ?? '') as Partial<DiskVolume>;
    return volume.fake === 'luks' ? (volume as DiskVolume) : undefined;
  } catch {
    // Anything else is no volume of ours.
    return undefined;
  }
}

export const writeVolume = (files: HostFiles, path: string, volume: DiskVolume): Promise<void> =>
  files.write(path, Buffer.from(JSON.stringify(volume)));

/** Anything that is not a pretended volume is a hostile header. The digest is of what a LUKS header holds: size and slots. */
export const guardVolume =
  (files: HostFiles): Artifacts['guard'] =>
  async (path) => {
    const volume = await readVolume(files, path);
    if (volume === undefined) return setBack(refused('IMAGE_REFUSED'));
    const headerDigest = digestOf(JSON.stringify([volume.capacityBytes, volume.volumeKey, volume.slots]));
    return done({ capacityBytes: volume.capacityBytes, sizeBytes: (await files.size(path)) ?? 0, headerDigest });
  };

/** Its file is its header. */
export const placeVolume =
  (files: HostFiles): Artifacts['luksPlace'] =>
  async (path) => {
    const volume = await readVolume(files, path);
    if (volume === undefined) return setBack(refused('IMAGE_REFUSED'));
    return done({ offset: 0, bytes: (await files.size(path)) ?? 0, activeSlots: activeIn(volume) });
  };

const activeIn = ({ slots }: DiskVolume): readonly number[] => slots.flatMap((slot, i) => (slot === null ? [] : [i]));

const digestOf = (text: string) => digest.parse(sha256(text));

export function diskVolumes(files: HostFiles): Volumes {
  const opened = async (path: string, passphrase: Uint8Array): Promise<Outcome<DiskVolume>> => {
    const volume = await readVolume(files, path);
    if (volume === undefined) throw new HostError(failed('TOOL_FAILED'));
    return volume.slots.includes(sha256(passphrase)) ? done(volume) : setBack(refused('LUKS_DOES_NOT_OPEN'));
  };
  return {
    // No test of these clouds registers an image.
    encryptRaw: async () => setBack(refused('IMAGE_REFUSED')),
    createBlank: (path, capacityBytes, passphrase) => {
      const slot = sha256(passphrase);
      return writeVolume(files, path, {
        fake: 'luks',
        capacityBytes,
        volumeKey: sha256(`of ${slot}`),
        slots: [slot],
        marker: '',
      });
    },
    copyInto: async (from, to) => {
      const [source, target] = [await opened(from.path, from.passphrase), await opened(to.path, to.passphrase)];
      if (!source.ok) return source;
      if (!target.ok) return target;
      await writeVolume(files, to.path, { ...target.value, marker: source.value.marker });
      return done(undefined);
    },
    addKey: async (path, have, add, slot) => {
      const volume = await opened(path, have);
      if (!volume.ok) return volume;
      const { slots } = volume.value;
      const wider = Array.from({ length: Math.max(slots.length, slot + 1) }, (_, i) => slots[i] ?? null);
      await writeVolume(files, path, { ...volume.value, slots: wider.with(slot, sha256(add)) });
      return done(undefined);
    },
    eraseSlot: async (path, keep, slot) => {
      const volume = await opened(path, keep);
      if (!volume.ok) return volume;
      await writeVolume(files, path, { ...volume.value, slots: volume.value.slots.with(slot, null) });
      return done(undefined);
    },
    unlock: async (path, passphrase) => {
      const volume = await opened(path, passphrase);
      return volume.ok ? done(undefined) : volume;
    },
  };
}
