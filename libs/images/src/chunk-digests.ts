import type { FileHandle } from 'node:fs/promises';
import { alignedBuffers } from './buffer-pool.ts';
import { hashChunk } from './chunk-hash.ts';
import type { HoleMap } from './extents.ts';
import { readFully } from './files.ts';
import { type ChunkGrid, chunkCount, chunkLength, chunkOffset, holeDigests, isZero } from './grid.ts';
import { HASHES_IN_FLIGHT } from './limits.ts';
import { demandWanted } from './outcome.ts';

export interface ChunkDigest {
  readonly index: number;
  readonly digest: Buffer;
  readonly hole: boolean;
}

export interface ChunkSelection {
  /** Ascending. */
  readonly indexes: Iterable<number>;
  /** Chunks known to be holes of the file: not read. */
  readonly absent: HoleMap;
  readonly signal?: AbortSignal;
}

export function* allChunks(grid: ChunkGrid): Generator<number> {
  for (let index = 0; index < chunkCount(grid); index++) yield index;
}

/** Digests of chunks of a file, in order; up to HASHES_IN_FLIGHT are being hashed while the next is read. */
export async function* chunkDigests(handle: FileHandle, grid: ChunkGrid, select: ChunkSelection): AsyncGenerator<ChunkDigest> {
  const holes = holeDigests(grid);
  const free = [...alignedBuffers(HASHES_IN_FLIGHT + 1, grid.chunkBytes)];
  const pending: Promise<ChunkDigest>[] = [];
  /** Reads a chunk and starts to hash it; wrapped, since awaiting the read must not await the hash. */
  const start = async (index: number): Promise<{ readonly hashed: Promise<ChunkDigest> }> => {
    const buffer = free.pop();
    if (buffer === undefined) throw new Error('a chunk buffer was lost');
    const chunk = buffer.subarray(0, chunkLength(grid, index));
    await readFully(handle, chunk, chunkOffset(grid, index), 'SOURCE_CHANGED');
    const hole = isZero(chunk);
    const digest = hole ? Promise.resolve(holes.at(index)) : hashChunk(chunk);
    return { hashed: digest.finally(() => free.push(buffer)).then((value) => ({ index, digest: value, hole })) };
  };
  try {
    for (const index of select.indexes) {
      demandWanted(select.signal);
      pending.push(
        select.absent(index) ? Promise.resolve({ index, digest: holes.at(index), hole: true }) : (await start(index)).hashed,
      );
      const oldest = pending.length > HASHES_IN_FLIGHT ? pending.shift() : undefined;
      if (oldest !== undefined) yield await oldest;
    }
    for (let rest = pending.shift(); rest !== undefined; rest = pending.shift()) yield await rest;
  } finally {
    await Promise.allSettled(pending);
  }
}
