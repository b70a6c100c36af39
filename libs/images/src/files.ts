import { randomUUID } from 'node:crypto';
import { constants, type FileHandle, open, rename, rm } from 'node:fs/promises';
import { dirname } from 'node:path';
import { ImageError } from './outcome.ts';

/** Opens an existing regular file for reading. A link in its place is refused: the name was checked, its end was not. */
export async function openForReading(path: string): Promise<FileHandle> {
  const handle = await open(path, constants.O_RDONLY | constants.O_NOFOLLOW);
  const stat = await handle.stat();
  if (stat.isFile()) return handle;
  await handle.close();
  throw new ImageError('FILE_UNSUITABLE', { got: path });
}

/** Reads exactly `into.length` bytes; a shorter file is refused with the given code. */
export async function readFully(
  handle: FileHandle,
  into: Uint8Array,
  position: number,
  short: 'SOURCE_CHANGED' | 'IMAGE_TRUNCATED' | 'MANIFEST_MALFORMED',
): Promise<void> {
  for (let at = 0; at < into.length; ) {
    const { bytesRead } = await handle.read(into, at, into.length - at, position + at);
    if (bytesRead === 0) throw new ImageError(short, { expected: `${into.length} bytes at ${position}`, got: String(at) });
    at += bytesRead;
  }
}

/** Writes all bytes at a position. */
export async function writeFully(handle: FileHandle, bytes: Uint8Array, position: number): Promise<void> {
  for (let at = 0; at < bytes.length; ) {
    const { bytesWritten } = await handle.write(bytes, at, bytes.length - at, position + at);
    at += bytesWritten;
  }
}

/** Makes a rename or an unlink in this folder durable. */
export async function syncFolder(folder: string): Promise<void> {
  const handle = await open(folder, constants.O_RDONLY | constants.O_DIRECTORY);
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}

/**
 * Writes a file that appears under its name whole and durable, or not at all: written beside, fsynced, renamed, folder fsynced.
 * Mode 600: whoever reads an image's digests or ciphertext is its owner.
 *
 * A draft may be the clear memory of another provider's guest. When the agent dies in the middle, nobody is left to remove it, so its name
 * has the form that the host sweeps away when its agent starts (`removeUnfinished` of the hypervisor lib): `<path>.<uuid>.partial`.
 */
export async function writeWhole(path: string, write: (handle: FileHandle, beside: string) => Promise<void>): Promise<void> {
  const beside = `${path}.${randomUUID()}.partial`;
  const handle = await open(beside, 'wx', 0o600);
  try {
    try {
      await write(handle, beside);
      await handle.sync();
    } finally {
      await handle.close();
    }
    await rename(beside, path);
  } catch (error) {
    await rm(beside, { force: true });
    throw error;
  }
  await syncFolder(dirname(path));
}
