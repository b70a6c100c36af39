import { refused, type Setback } from './codes.ts';
import { RAW_DISK_BYTES_MAX, RAW_DISK_BYTES_MIN, SECTOR_BYTES } from './limits.ts';

/** Bytes of a disk's whole length, and of what of it is allocated. */
export type RawDisk = { readonly sizeBytes: number; readonly allocatedBytes: number };

/** Why a regular file cannot become an image; undefined: it can. */
export function rawDiskFault({ sizeBytes, allocatedBytes }: RawDisk, roomBytes: number): Setback | undefined {
  const isDisk = sizeBytes % SECTOR_BYTES === 0 && sizeBytes >= RAW_DISK_BYTES_MIN && sizeBytes <= RAW_DISK_BYTES_MAX;
  if (!isDisk) return refused('IMPORT_SIZE', `(${sizeBytes} bytes)`);
  return allocatedBytes > roomBytes ? refused('NO_ROOM', `The image needs ${allocatedBytes} bytes of disk.`) : undefined;
}
