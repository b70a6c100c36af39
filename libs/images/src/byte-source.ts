import type { FileHandle } from 'node:fs/promises';
import { readFully } from './files.ts';
import { ImageError } from './outcome.ts';

/** A hostile file as the guards see it: so long, readable anywhere, nothing believed. */
export interface ByteSource {
  readonly sizeBytes: number;
  /** Exactly these bytes, or a refusal: nothing is allocated for a range that the file does not have. */
  read(offset: number, lengthBytes: number): Promise<Buffer>;
}

const demandRange = (sizeBytes: number, offset: number, lengthBytes: number): void => {
  const inside =
    Number.isSafeInteger(offset) &&
    Number.isSafeInteger(lengthBytes) &&
    offset >= 0 &&
    lengthBytes >= 0 &&
    offset + lengthBytes <= sizeBytes;
  if (!inside)
    throw new ImageError('IMAGE_TRUNCATED', { expected: `${lengthBytes} bytes at ${offset}`, got: `${sizeBytes} bytes` });
};

export async function fileSource(handle: FileHandle): Promise<ByteSource> {
  const { size } = await handle.stat();
  return {
    sizeBytes: size,
    async read(offset, lengthBytes) {
      demandRange(size, offset, lengthBytes);
      const bytes = Buffer.alloc(lengthBytes);
      await readFully(handle, bytes, offset, 'IMAGE_TRUNCATED');
      return bytes;
    },
  };
}

export const memorySource = (bytes: Buffer, sizeBytes: number = bytes.length): ByteSource => ({
  sizeBytes,
  async read(offset, lengthBytes) {
    demandRange(sizeBytes, offset, lengthBytes);
    const part = Buffer.alloc(lengthBytes); // what lies beyond the given bytes reads as zero, as in a sparse file
    bytes.copy(part, 0, offset, offset + lengthBytes);
    return part;
  },
});

/** An unsigned 64-bit field; beyond 2^53 − 1 no file reaches, and the code says which rule that breaks. */
export function readU64(
  bytes: Buffer,
  offset: number,
  code: 'QCOW2_SIZE' | 'QCOW2_TABLE' | 'QCOW2_BITMAPS' | 'LUKS_LOCATION',
): number {
  const value = bytes.readBigUInt64BE(offset);
  if (value > BigInt(Number.MAX_SAFE_INTEGER)) throw new ImageError(code, { got: String(value) });
  return Number(value);
}
