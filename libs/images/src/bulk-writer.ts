import type { FileHandle } from 'node:fs/promises';
import { alignedBuffers } from './buffer-pool.ts';
import { openChunkWriter } from './chunk-writer.ts';
import { CHUNK_BYTES_DEFAULT, HASHES_IN_FLIGHT } from './limits.ts';

/**
 * Writes a stream of blocks of any length to an empty file, past the page cache and behind the producer: the next block is
 * made while earlier ones are on their way to the disk. Memory is a few chunks. Returns the bytes written.
 */
export async function writeBulk(path: string, file: FileHandle, blocks: AsyncIterable<Uint8Array>): Promise<number> {
  const free = [...alignedBuffers(HASHES_IN_FLIGHT, CHUNK_BYTES_DEFAULT)];
  const writer = await openChunkWriter(path, file);
  const pending: Promise<void>[] = [];
  let buffer = free.pop();
  let filled = 0;
  let written = 0;
  const flush = async (): Promise<void> => {
    const full = buffer;
    if (full === undefined || filled === 0) return;
    const write = writer.write(full.subarray(0, filled), written).then(() => void free.push(full));
    write.catch(() => undefined); // awaited below or by the next flush; until then it is nobody's failure
    pending.push(write);
    written += filled;
    filled = 0;
    buffer = free.pop();
    while (buffer === undefined) {
      await pending.shift();
      buffer = free.pop();
    }
  };
  try {
    for await (const block of blocks) {
      for (let at = 0; at < block.length; ) {
        const part = block.subarray(at, at + CHUNK_BYTES_DEFAULT - filled);
        buffer?.set(part, filled);
        filled += part.length;
        at += part.length;
        if (filled === CHUNK_BYTES_DEFAULT) await flush();
      }
    }
    await flush();
    await Promise.all(pending);
    return written;
  } finally {
    await Promise.allSettled(pending);
    await writer.close();
  }
}
