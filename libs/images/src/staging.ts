import { constants, type FileHandle, link, mkdir, open, readFile, rename, rm, stat, statfs } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import type { Digest } from '@carnet/events';
import { type Bitmap, bitmap } from './bitmap.ts';
import { syncFolder, writeFully, writeWhole } from './files.ts';
import { type ChunkGrid, chunkCount } from './grid.ts';
import { dataState, decodeKeptMap, encodeKeptMap, isUnchanged, type KeptMap } from './kept-map.ts';
import { SPARE_DISK_BYTES } from './limits.ts';
import { ImageError } from './outcome.ts';

/** Where an artifact is kept while it comes: a folder beside its place, of mode 700, that disappears whole. */
export interface Staging {
  readonly data: FileHandle;
  readonly dataPath: string;
  readonly manifestPath: string;
  /** Chunks of an earlier attempt, by the map it left. */
  readonly kept: Bitmap;
  /** Whether nothing has written to the data since the map was made: then `kept` holds. Otherwise each chunk must be hashed again. */
  readonly unchanged: boolean;
  /** Forgets everything: what is there is of another round, and would show through the holes of this one. */
  restart(): Promise<void>;
  /** Makes the data durable, then the map that speaks of it. */
  checkpoint(held: Bitmap): Promise<void>;
  /** Data and manifest appear in their places, durably; the folder goes. */
  publish(): Promise<void>;
  close(): Promise<void>;
}

const stagingFolder = (into: string): string => `${into}.receiving`;
/** Where the manifest of a received artifact stays: later rounds and checks need it. */
export const manifestBeside = (into: string): string => `${into}.manifest`;

export async function openStaging(into: string, grid: ChunkGrid, root: Digest): Promise<Staging> {
  const folder = stagingFolder(into);
  await mkdir(folder, { recursive: true, mode: 0o700 });
  const mapPath = join(folder, 'chunks');
  const dataPath = join(folder, 'data');
  const manifestPath = join(folder, 'manifest');
  const data = await open(dataPath, constants.O_RDWR | constants.O_CREAT | constants.O_NOFOLLOW, 0o600);
  try {
    const found = await keptMap(mapPath, root);
    const unchanged = found !== undefined && isUnchanged(found.state, await dataState(data));
    const { size } = await data.stat();
    // Sparse: what is never written stays a hole. Only when needed: it would count as a change.
    if (size !== grid.sizeBytes) await data.truncate(grid.sizeBytes);
    return {
      data,
      dataPath,
      manifestPath,
      kept: bitmap(chunkCount(grid), found?.held),
      unchanged,
      async restart() {
        await rm(manifestPath, { force: true });
        await rm(mapPath, { force: true });
        await data.truncate(0);
        await data.truncate(grid.sizeBytes);
      },
      async checkpoint(held) {
        const copy = Uint8Array.from(held.bytes); // as of now: later chunks are not covered by this fsync
        await data.datasync();
        const map = encodeKeptMap({ root, state: await dataState(data), held: copy });
        await writeWhole(mapPath, (file) => writeFully(file, map, 0));
      },
      async publish() {
        await data.sync();
        // Linked, not moved: after a crash between the two, data and manifest are still together and resume.
        await rm(manifestBeside(into), { force: true });
        await link(manifestPath, manifestBeside(into));
        await rename(dataPath, into);
        await rm(folder, { recursive: true, force: true });
        await syncFolder(dirname(into));
      },
      close: () => data.close(),
    };
  } catch (error) {
    await data.close();
    throw error;
  }
}

/** The map of an earlier attempt at this root, if it is whole. */
async function keptMap(path: string, root: Digest): Promise<KeptMap | undefined> {
  const map = decodeKeptMap(await readFile(path).catch(() => Buffer.alloc(0)));
  return map?.root === root ? map : undefined;
}

/** Removes everything that an unfinished reception left beside `into`. */
export async function discardStaging(into: string): Promise<void> {
  await rm(stagingFolder(into), { recursive: true, force: true });
}

export const fileExists = async (path: string): Promise<boolean> =>
  stat(path).then(
    () => true,
    () => false,
  );

/** Refuses before the first byte comes what would fill the disk with the last one. */
export async function demandSpace(folder: string, bytes: number): Promise<void> {
  const free = await freeSpace(folder);
  if (free < bytes) throw new ImageError('DISK_FULL', { expected: `${bytes + SPARE_DISK_BYTES} free bytes`, got: String(free) });
}

/** Bytes that we may take of a file system: never its last ones. */
export async function freeSpace(folder: string): Promise<number> {
  const { bavail, bsize } = await statfs(folder);
  return Math.max(0, bavail * bsize - SPARE_DISK_BYTES);
}
