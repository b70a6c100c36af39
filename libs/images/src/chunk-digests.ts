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

/** Digests of chunks of a file, in order; HASHES_IN_FLIGHT + 1 are being read or hashed at once, so that a cold disk has a queue. */
export async function* chunkDigests(handle: FileHandle, grid: ChunkGrid, select: ChunkSelection): AsyncGenerator<ChunkDigest> {
  const holes = holeDigests(grid);
  const free = [...alignedBuffers(HASHES_IN_FLIGHT + 1, grid.chunkBytes)];
  const pending: Promise<ChunkDigest>[] = [];
  const digestOf = async (index: number): Promise<ChunkDigest> => {
    if (select.absent(index)) return { index, digest: holes.at(index), hole: true };
    const buffer = free.pop();
    if (buffer === undefined) throw new Error('a chunk buffer was lost');
    try {
      const chunk = buffer.subarray(0, chunkLength(grid, index));
      await readFully(handle, chunk, chunkOffset(grid, index), 'SOURCE_CHANGED');
      const hole = isZero(chunk);
      return { index, digest: hole ? holes.at(index) : await hashChunk(chunk), hole };
    } finally {
      free.push(buffer);
    }
  };
  try {
    for (const index of select.indexes) {
      demandWanted(select.signal);
      const work = digestOf(index);
      work.catch(() => undefined); // awaited in its turn; until then it is nobody's failure
      pending.push(work);
      const oldest = pending.length > HASHES_IN_FLIGHT ? pending.shift() : undefined;
      if (oldest !== undefined) yield await oldest;
    }
    for (let rest = pending.shift(); rest !== undefined; rest = pending.shift()) yield await rest;
  } finally {
    await Promise.allSettled(pending);
  }
}
