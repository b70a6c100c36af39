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

/** A pretended LUKS volume, as JSON: what passphrase opens it, by its SHA-256, and what its guest last wrote. */
export type DiskVolume = {
  readonly fake: 'luks';
  readonly capacityBytes: number;
  readonly passphrase: string;
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

/** Anything that is not a pretended volume is a hostile header. The digest is of what a LUKS header holds: size and key. */
export const guardVolume =
  (files: HostFiles): Artifacts['guard'] =>
  async (path) => {
    const volume = await readVolume(files, path);
    if (volume === undefined) return setBack(refused('IMAGE_REFUSED'));
    const headerDigest = digestOf(`${volume.capacityBytes} ${volume.passphrase}`);
    return done({ capacityBytes: volume.capacityBytes, sizeBytes: (await files.size(path)) ?? 0, headerDigest });
  };

const digestOf = (text: string) => digest.parse(sha256(text));

export function diskVolumes(files: HostFiles): Volumes {
  const opened = async (path: string, passphrase: Uint8Array): Promise<Outcome<DiskVolume>> => {
    const volume = await readVolume(files, path);
    if (volume === undefined) throw new HostError(failed('TOOL_FAILED'));
    return volume.passphrase === sha256(passphrase) ? done(volume) : setBack(refused('LUKS_DOES_NOT_OPEN'));
  };
  return {
    // No test of these clouds registers an image.
    encryptRaw: async () => setBack(refused('IMAGE_REFUSED')),
    createBlank: (path, capacityBytes, passphrase) =>
      writeVolume(files, path, { fake: 'luks', capacityBytes, passphrase: sha256(passphrase), marker: '' }),
    copyInto: async () => setBack(refused('IMAGE_REFUSED')),
    // Nor does one re-key.
    addKey: async () => setBack(refused('IMAGE_REFUSED')),
    eraseSlot: async () => setBack(refused('IMAGE_REFUSED')),
    unlock: async (path, passphrase) => {
      const volume = await opened(path, passphrase);
      return volume.ok ? done(undefined) : volume;
    },
  };
}
