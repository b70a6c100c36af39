import { constants, type FileHandle, open } from 'node:fs/promises';
import { writeFully } from './files.ts';
import { DIRECT_ALIGN_BYTES, WRITES_IN_FLIGHT } from './limits.ts';

export interface ChunkWriter {
  /** Writes a chunk from a page-aligned buffer at a multiple of the chunk size. */
  write(chunk: Uint8Array, position: number): Promise<void>;
  close(): Promise<void>;
}

const isUnsupported = (error: unknown): boolean => error instanceof Error && 'code' in error && error.code === 'EINVAL';

/**
 * Writes past the page cache (O_DIRECT) where the file system can, so that a transfer evicts nobody's cache and its last
 * fsync finds nothing to do. The unaligned tail, and file systems that cannot, go through `data`. At most WRITES_IN_FLIGHT
 * at once: parallel buffered writes spin on the inode's lock.
 */
export async function openChunkWriter(path: string, data: FileHandle): Promise<ChunkWriter> {
  let direct: FileHandle | undefined = await open(path, constants.O_WRONLY | constants.O_DIRECT | constants.O_NOFOLLOW).catch(
    (error: unknown) => {
      if (isUnsupported(error)) return undefined;
      throw error;
    },
  );
  const turn = turns(WRITES_IN_FLIGHT);
  const writeOnce = async (chunk: Uint8Array, position: number): Promise<void> => {
    const aligned = chunk.length % DIRECT_ALIGN_BYTES === 0;
    if (direct === undefined || !aligned) return writeFully(data, chunk, position);
    try {
      await writeFully(direct, chunk, position);
    } catch (error) {
      if (!isUnsupported(error)) throw error;
      const unusable = direct; // opened, but the device wants another alignment: buffered from here on
      direct = undefined;
      await unusable?.close();
      await writeFully(data, chunk, position);
    }
  };
  return {
    write: (chunk, position) => turn(() => writeOnce(chunk, position)),
    close: async () => direct?.close(),
  };
}

/** Lets at most so many pieces of work run at once, in the order they came. */
export function turns(atOnce: number): (work: () => Promise<void>) => Promise<void> {
  const waiting: (() => void)[] = [];
  let running = 0;
  return async (work) => {
    if (running >= atOnce) await new Promise<void>((resolve) => waiting.push(resolve));
    else running++;
    try {
      await work();
    } finally {
      const next = waiting.shift(); // hands its turn on, so `running` stays
      if (next === undefined) running--;
      else next();
    }
  };
}
