import { type Bitmap, type Run, runs } from './bitmap.ts';
import { type BufferPool, bufferPool } from './buffer-pool.ts';
import { hashChunk } from './chunk-hash.ts';
import type { ChunkWriter } from './chunk-writer.ts';
import type { Clock } from './clock.ts';
import { refusable } from './fetch-manifest.ts';
import { encodeWant, type FrameHead } from './frame.ts';
import { chunkLength, chunkOffset } from './grid.ts';
import {
  CHECKPOINT_MS,
  PAUSE_OVERRUN_BYTES,
  RECEIVE_BUFFERS,
  TRANSFER_BUFFER_BYTES,
  WANT_CHUNKS_MAX,
  WANTS_IN_FLIGHT,
} from './limits.ts';
import type { Link } from './link.ts';
import type { Manifest } from './manifest.ts';
import { ImageError } from './outcome.ts';
import type { TokenBucket } from './token-bucket.ts';

export interface ChunkFetch {
  readonly link: Link;
  readonly manifest: Manifest;
  /** What has not come yet; chunks leave it when they are on disk. */
  readonly missing: Bitmap;
  readonly writer: ChunkWriter;
  readonly bucket: TokenBucket;
  readonly clock: Clock;
  readonly signal?: AbortSignal;
  /** A chunk was verified and written. */
  readonly onWritten: (index: number, bytes: number) => void;
  /** Called now and then, never twice at once: makes durable what `missing` no longer holds. */
  readonly checkpoint: () => Promise<void>;
}

/** How many buffers, and how many of them are kept free for what TLS delivers after a pause. */
function poolSize(chunkBytes: number): { readonly count: number; readonly spare: number } {
  const spare = Math.ceil(PAUSE_OVERRUN_BYTES / chunkBytes);
  const working = Math.max(RECEIVE_BUFFERS, Math.ceil((2 * PAUSE_OVERRUN_BYTES) / chunkBytes));
  return { count: Math.min(working + spare, Math.floor(TRANSFER_BUFFER_BYTES / chunkBytes)), spare };
}

/** Asks for runs of missing chunks, keeping WANTS_IN_FLIGHT of them open. */
function asker(link: Link, missing: Bitmap, manifest: Manifest): { fill(): void; answered(index: number): void } {
  const wanted = runs(missing, (index) => manifest.isHole(index), WANT_CHUNKS_MAX);
  const open: Run[] = [];
  const fill = (): void => {
    while (open.length < WANTS_IN_FLIGHT) {
      const { value, done } = wanted.next();
      if (done === true) return;
      open.push(value);
      link.send(encodeWant(value.first, value.count));
    }
  };
  return {
    fill,
    answered(index) {
      if (open[0]?.last !== index) return;
      open.shift();
      fill();
    },
  };
}

/** Says what is wrong with a chunk that is not the next one we asked for. */
function misplaced(index: number, next: number, total: number): ImageError {
  const contrast = { expected: next < total ? `chunk ${next}` : 'none', got: `chunk ${index}` };
  if (next >= total) return new ImageError('CHUNK_EXTRA', contrast);
  return new ImageError(index < next ? 'CHUNK_REPEATED' : 'CHUNK_SKIPPED', contrast);
}

/**
 * Receives every missing chunk. Each is compared with its digest *before* it is written. Reading pauses while buffers or
 * rate are used up, so that a fast source fills the network's buffers, never ours.
 */
export async function fetchChunks(fetch: ChunkFetch): Promise<void> {
  const { link, manifest, missing } = fetch;
  const grid = manifest.context;
  let next = missing.next(0);
  if (next === missing.length) return;

  const finished = Promise.withResolvers<void>();
  const holds = new Set<'buffers' | 'rate'>();
  const hold = (why: 'buffers' | 'rate'): void => {
    holds.add(why);
    link.pause();
  };
  const release = (why: 'buffers' | 'rate'): void => {
    if (holds.delete(why) && holds.size === 0) link.resume();
  };
  const { count, spare } = poolSize(grid.chunkBytes);
  const pool: BufferPool = bufferPool(count, grid.chunkBytes, () => {
    if (pool.free() > spare) release('buffers');
  });
  const asks = asker(link, missing, manifest);
  const store = chunkStore(fetch, pool);
  const storing = new Set<Promise<void>>();
  let buffer: Buffer<ArrayBuffer> | undefined;

  const accept = (index: number, filled: Buffer<ArrayBuffer>, length: number): void => {
    const stored = store(index, filled, length).then(() => {
      storing.delete(stored);
      if (storing.size === 0 && next === missing.length) finished.resolve();
    }, finished.reject);
    storing.add(stored);
  };

  link.use(
    refusable({
      begin(head: FrameHead) {
        if (head.kind !== 'chunk') throw new ImageError('FRAME_UNEXPECTED', { got: head.kind });
        if (head.index !== next) throw misplaced(head.index, next, missing.length);
        const length = chunkLength(grid, next);
        if (head.length !== length) throw new ImageError('CHUNK_LENGTH', { expected: String(length), got: String(head.length) });
        buffer = pool.take();
        if (buffer === undefined) throw new Error('TLS delivered more after a pause than PAUSE_OVERRUN_BYTES');
        return buffer.subarray(0, length);
      },
      complete(head) {
        const filled = buffer;
        if (filled === undefined) throw new Error('a chunk completed without a buffer');
        buffer = undefined;
        next = missing.next(head.index + 1); // chunks leave `missing` behind us, never ahead
        accept(head.index, filled, head.length);
        asks.answered(head.index);
        if (next === missing.length) link.rest();
        else if (pool.free() <= spare) hold('buffers');
        const pauseMs = fetch.bucket.spend(head.length);
        if (pauseMs > 0 && next < missing.length) {
          hold('rate');
          fetch.clock.sleep(pauseMs, fetch.signal).then(() => release('rate'), finished.reject);
        }
      },
    }),
  );
  asks.fill();
  try {
    await Promise.race([finished.promise, link.lost]);
  } catch (error) {
    link.close();
    await Promise.all(storing); // nothing is written or added to the map behind the back of whoever keeps or discards
    throw error;
  }
}

/** Verifies, writes, takes a chunk off the missing ones and gives its buffer back. */
function chunkStore(
  fetch: ChunkFetch,
  pool: BufferPool,
): (index: number, filled: Buffer<ArrayBuffer>, length: number) => Promise<void> {
  const { manifest, missing, writer, clock } = fetch;
  let checkpointAt = clock.nowMs() + CHECKPOINT_MS;
  let checkpointing = false;
  return async (index, filled, length) => {
    const chunk = filled.subarray(0, length);
    const digest = await hashChunk(chunk);
    if (!digest.equals(manifest.digestAt(index))) throw new ImageError('CHUNK_HASH', { got: `chunk ${index}` });
    await writer.write(chunk, chunkOffset(manifest.context, index));
    missing.remove(index);
    pool.give(filled);
    fetch.onWritten(index, length);
    if (checkpointing || clock.nowMs() < checkpointAt) return;
    checkpointing = true;
    await fetch.checkpoint();
    checkpointing = false;
    checkpointAt = clock.nowMs() + CHECKPOINT_MS;
  };
}
