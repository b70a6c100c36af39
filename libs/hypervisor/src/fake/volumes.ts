import { type Digest, digest } from '@carnet/events';
import { z } from 'zod';
import { failed, HostError, refused } from '../codes.ts';
import { sha256 } from '../digest.ts';
import { done, type Outcome, setBack } from '../outcome.ts';
import type { GuardedHeader } from '../ports/artifacts.ts';
import type { HostFiles } from '../ports/files.ts';
import type { Volumes } from '../ports/volumes.ts';

/** A pretended LUKS volume: says what it is, and which passphrase opens it. `marker` is what its guest last wrote. */
const fakeVolume = z
  .strictObject({ fake: z.literal('luks'), capacityBytes: z.int(), passphrase: digest, marker: z.string() })
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

const headerOf = ({ capacityBytes, passphrase }: FakeVolume): Digest => sha256(`${capacityBytes} ${passphrase}`);

/** Anything that is not a pretended volume is a hostile header. */
export async function guardFakeVolume(files: HostFiles, path: string): Promise<Outcome<GuardedHeader>> {
  const volume = await readFakeVolume(files, path);
  if (volume === undefined) return setBack(refused('IMAGE_REFUSED'));
  return done({ capacityBytes: volume.capacityBytes, sizeBytes: (await files.size(path)) ?? 0, headerDigest: headerOf(volume) });
}

export function fakeVolumes(files: HostFiles): Volumes {
  const opened = async (path: string, passphrase: Uint8Array): Promise<Outcome<FakeVolume>> => {
    const volume = await readFakeVolume(files, path);
    if (volume === undefined) throw new HostError(failed('TOOL_FAILED'));
    return volume.passphrase === sha256(passphrase) ? done(volume) : setBack(refused('LUKS_DOES_NOT_OPEN'));
  };
  return {
    createBlank: (path, capacityBytes, passphrase) =>
      writeFakeVolume(files, path, { fake: 'luks', capacityBytes, passphrase: sha256(passphrase), marker: '' }),
    copyInto: async (from, to) => {
      const [source, target] = [await opened(from.path, from.passphrase), await opened(to.path, to.passphrase)];
      if (!source.ok) return source;
      if (!target.ok) return target;
      await writeFakeVolume(files, to.path, { ...target.value, marker: source.value.marker });
      return done(undefined);
    },
    unlock: async (path, passphrase) => {
      const volume = await opened(path, passphrase);
      return volume.ok ? done(undefined) : volume;
    },
  };
}
