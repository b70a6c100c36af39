import { readU64 } from './byte-source.ts';
import { LUKS_HEADER_BYTES_MAX, QCOW2_BITMAPS_MAX, QCOW2_EXTENSIONS_MAX } from './limits.ts';
import { ImageError } from './outcome.ts';

/** QEMU docs/interop/qcow2.txt, sections "Header extensions" to "Bitmaps extension". */
const END = 0x00000000;
const BACKING_FORMAT = 0xe2792aca;
const FEATURE_NAMES = 0x6803f857;
const BITMAPS = 0x23852875;
const ENCRYPTION_HEADER = 0x0537be77;
const EXTERNAL_DATA_FILE = 0x44415441;

export interface Place {
  readonly offset: number;
  readonly lengthBytes: number;
}

/**
 * Walks the extensions between the header and the end of its first cluster, of which `head` is what we read. Each kind once; unknown
 * ones are refused, and so is a list that does not end where we can see it.
 */
export function guardExtensions(
  head: Buffer,
  from: number,
  clusterBytes: number,
  fileBytes: number,
): { readonly luks: Place | undefined } {
  const to = Math.min(clusterBytes, head.length);
  const seen = new Set<number>();
  let luks: Place | undefined;
  for (let at = from; ; ) {
    if (at + 8 > to) {
      demandWholeCluster(to, clusterBytes);
      return { luks };
    }
    const kind = head.readUInt32BE(at);
    const length = head.readUInt32BE(at + 4);
    if (kind === END) return { luks };
    if (seen.has(kind) || seen.size >= QCOW2_EXTENSIONS_MAX)
      throw new ImageError('QCOW2_EXTENSION', { got: `0x${kind.toString(16)} twice` });
    if (length > to - at - 8)
      throw new ImageError('QCOW2_EXTENSION', { expected: `at most ${to - at - 8} bytes`, got: String(length) });
    seen.add(kind);
    const data = head.subarray(at + 8, at + 8 + length);
    if (kind === ENCRYPTION_HEADER) luks = encryptionHeader(data, fileBytes);
    else judge(kind, data, fileBytes);
    at += 8 + Math.ceil(length / 8) * 8;
  }
}

/**
 * A header that fills its cluster needs no end mark. In a larger cluster QEMU reads on, and a second encryption header that lies where we
 * stopped is the one that it opens.
 */
function demandWholeCluster(read: number, clusterBytes: number): void {
  if (read < clusterBytes) throw new ImageError('QCOW2_EXTENSION', { expected: `an end mark within ${read} bytes` });
}

function judge(kind: number, data: Buffer, fileBytes: number): void {
  switch (kind) {
    case FEATURE_NAMES:
      return; // names for people, in a file for machines: not read
    case BITMAPS:
      demandBitmaps(data, fileBytes);
      return;
    case BACKING_FORMAT:
      throw new ImageError('QCOW2_BACKING_FILE', { got: 'a backing format' });
    case EXTERNAL_DATA_FILE:
      throw new ImageError('QCOW2_DATA_FILE', { got: 'a data file name' });
    default:
      throw new ImageError('QCOW2_EXTENSION', { got: `0x${kind.toString(16)}` });
  }
}

function encryptionHeader(data: Buffer, fileBytes: number): Place {
  if (data.length !== 16) throw new ImageError('QCOW2_EXTENSION', { expected: '16 bytes', got: String(data.length) });
  const offset = readU64(data, 0, 'LUKS_LOCATION');
  const lengthBytes = readU64(data, 8, 'LUKS_LOCATION');
  const inside = offset > 0 && lengthBytes <= LUKS_HEADER_BYTES_MAX && offset + lengthBytes <= fileBytes;
  if (!inside)
    throw new ImageError('LUKS_LOCATION', { expected: `within ${fileBytes} bytes`, got: `${lengthBytes} bytes at ${offset}` });
  return { offset, lengthBytes };
}

function demandBitmaps(data: Buffer, fileBytes: number): void {
  if (data.length !== 24) throw new ImageError('QCOW2_BITMAPS', { expected: '24 bytes', got: String(data.length) });
  const count = data.readUInt32BE(0);
  const directoryBytes = readU64(data, 8, 'QCOW2_BITMAPS');
  const offset = readU64(data, 16, 'QCOW2_BITMAPS');
  if (count < 1 || count > QCOW2_BITMAPS_MAX || data.readUInt32BE(4) !== 0 || offset + directoryBytes > fileBytes)
    throw new ImageError('QCOW2_BITMAPS', { got: `${count} in ${directoryBytes} bytes at ${offset}` });
}
