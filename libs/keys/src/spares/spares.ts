import { mkdir, open, readdir, readFile, rename, unlink } from 'node:fs/promises';
import { join } from 'node:path';
import type { Random } from '../bytes.ts';
import type { Replaces } from '../records/holding.ts';
import { decodeSpare, encodeSpare, fileNameOf, isSameHolding, nameFrom, nameOf, type Spare, type SpareName } from './spare.ts';

/**
 * Copies of key rows that no peer can bring back, durable outside of the database: one file for each key that arrived by a migration, or was made
 * to take the place of one. One directory for each replica; sharing it among replicas of a machine is safe.
 */
export type Spares = {
  /** Returns once it is on disk. */
  readonly keep: (spare: Spare) => Promise<void>;
  readonly list: () => Promise<readonly SpareName[]>;
  /** `broken`: there, and not as it was written. */
  readonly read: (name: SpareName) => Promise<Spare | 'missing' | 'broken'>;
  /** Every spare of these holdings; none is fine. Returns once they are gone for good. */
  readonly erase: (which: (name: SpareName) => boolean) => Promise<number>;
};

export const isOf =
  (holding: Replaces) =>
  (name: SpareName): boolean =>
    isSameHolding(name, holding);

export async function openSpares(dir: string, random: Random): Promise<Spares> {
  await mkdir(dir, { recursive: true, mode: 0o700 });
  // What a crash left half written is nobody's.
  for (const file of await readdir(dir)) if (file.startsWith('.')) await unlink(join(dir, file)).catch(ignoreMissing);
  const list = async (): Promise<readonly SpareName[]> =>
    (await readdir(dir)).flatMap((file) => {
      const name = nameFrom(file);
      return name === undefined ? [] : [name];
    });
  return {
    list,
    keep: async (spare) => {
      const path = join(dir, fileNameOf(nameOf(spare)));
      const aside = join(dir, `.${Buffer.from(random(8)).toString('hex')}`);
      const file = await open(aside, 'wx', 0o600);
      try {
        await file.writeFile(encodeSpare(spare));
        await file.sync();
      } finally {
        await file.close();
      }
      await rename(aside, path);
      await syncDirectory(dir);
    },
    read: async (name) => {
      const bytes = await readFile(join(dir, fileNameOf(name)), 'utf8').catch(ignoreMissing);
      return bytes === undefined ? 'missing' : (decodeSpare(bytes, name) ?? 'broken');
    },
    erase: async (which) => {
      const names = (await list()).filter(which);
      for (const name of names) await unlink(join(dir, fileNameOf(name))).catch(ignoreMissing);
      if (names.length > 0) await syncDirectory(dir);
      return names.length;
    },
  };
}

function ignoreMissing(cause: unknown): undefined {
  if (cause instanceof Error && 'code' in cause && cause.code === 'ENOENT') return undefined;
  throw cause;
}

/** After a power loss a name is there, or gone, as it was said. */
async function syncDirectory(dir: string): Promise<void> {
  const directory = await open(dir, 'r');
  try {
    await directory.sync();
  } finally {
    await directory.close();
  }
}
