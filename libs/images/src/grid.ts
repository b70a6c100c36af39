import { createHash } from 'node:crypto';
import { ARTIFACT_BYTES_MAX } from '@carnet/events';
import { CHUNK_BYTES_DEFAULT, CHUNK_BYTES_MAX, CHUNK_BYTES_MIN, CHUNKS_AIM, CHUNKS_MAX, DIGEST_BYTES } from './limits.ts';
import { done, type Outcome, refuse } from './outcome.ts';

/** How an artifact is cut: fixed-size chunks, the last one shorter. */
export interface ChunkGrid {
  readonly sizeBytes: number;
  readonly chunkBytes: number;
}

/** Refuses a grid before anything is allocated from its numbers. Powers of two keep every offset aligned for O_DIRECT. */
export function checkGrid<G extends ChunkGrid>(grid: G): Outcome<G> {
  const { sizeBytes, chunkBytes } = grid;
  const powerOfTwo = Number.isInteger(chunkBytes) && Number.isInteger(Math.log2(chunkBytes));
  if (!powerOfTwo || chunkBytes < CHUNK_BYTES_MIN || chunkBytes > CHUNK_BYTES_MAX) {
    return refuse('CHUNK_SIZE_UNSUPPORTED', { got: String(chunkBytes) });
  }
  if (!Number.isSafeInteger(sizeBytes) || sizeBytes > ARTIFACT_BYTES_MAX || chunkCount(grid) > CHUNKS_MAX) {
    return refuse('ARTIFACT_TOO_LARGE', {
      expected: `at most ${ARTIFACT_BYTES_MAX} bytes in ${CHUNKS_MAX} chunks`,
      got: String(sizeBytes),
    });
  }
  if (sizeBytes < 1) return refuse('ARTIFACT_EMPTY', { got: String(sizeBytes) });
  return done(grid);
}

/** The chunk size to seal an artifact with when nobody asks for another. */
export function usualChunkBytes(sizeBytes: number): number {
  let chunkBytes = CHUNK_BYTES_DEFAULT;
  while (chunkBytes < CHUNK_BYTES_MAX && sizeBytes / chunkBytes > CHUNKS_AIM) chunkBytes *= 2;
  return chunkBytes;
}

export const chunkCount = (grid: ChunkGrid): number => Math.ceil(grid.sizeBytes / grid.chunkBytes);
export const chunkOffset = (grid: ChunkGrid, index: number): number => index * grid.chunkBytes;
export const chunkLength = (grid: ChunkGrid, index: number): number =>
  Math.min(grid.chunkBytes, grid.sizeBytes - index * grid.chunkBytes);

const zeros = Buffer.alloc(CHUNK_BYTES_MAX / 16);

/** Whether all bytes are zero; stops at the first that is not. */
export function isZero(bytes: Uint8Array): boolean {
  for (let at = 0; at < bytes.length; at += zeros.length) {
    const part = bytes.subarray(at, at + zeros.length);
    if (!zeros.subarray(0, part.length).equals(part)) return false;
  }
  return true;
}

/** SHA-256 of so many zero bytes: a chunk with this digest is a hole and never travels. */
function zeroDigest(lengthBytes: number): Buffer {
  const hash = createHash('sha256');
  for (let left = lengthBytes; left > 0; left -= zeros.length) hash.update(zeros.subarray(0, Math.min(left, zeros.length)));
  return hash.digest();
}

/** Recognises holes by their digest: a manifest needs no list of them, and none that could contradict its digests. */
export function holeDigests(grid: ChunkGrid): {
  readonly at: (index: number) => Buffer;
  readonly is: (index: number, digest: Uint8Array) => boolean;
} {
  const last = chunkCount(grid) - 1;
  const whole = zeroDigest(grid.chunkBytes);
  const tail = zeroDigest(chunkLength(grid, last));
  const at = (index: number): Buffer => (index === last ? tail : whole);
  return { at, is: (index, digest) => digest.length === DIGEST_BYTES && at(index).equals(digest) };
}
