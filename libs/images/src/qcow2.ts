import { ARTIFACT_BYTES_MAX } from '@carnet/events';
import { type ByteSource, readU64 } from './byte-source.ts';
import { QCOW2_HEADER_BYTES_MAX, QCOW2_L1_BYTES_MAX, QCOW2_REFCOUNT_TABLE_BYTES_MAX } from './limits.ts';
import { guardLuks1, type Luks1Header } from './luks1.ts';
import { ImageError } from './outcome.ts';
import { guardExtensions } from './qcow2-extensions.ts';

/** QEMU docs/interop/qcow2.txt, section "Header". All numbers big endian. */
export const QCOW2_MAGIC = Buffer.from('QFI\xfb', 'latin1');
const V2_BYTES = 72;
const V3_BYTES_MIN = 104;
const CRYPT_LUKS = 2;

/** Incompatible features, by bit. All others are unknown, and an unknown one must be refused. */
const DIRTY = 1n << 0n;
const CORRUPT = 1n << 1n;
const EXTERNAL_DATA = 1n << 2n;
const COMPRESSION_TYPE = 1n << 3n;
const EXTENDED_L2 = 1n << 4n;

export interface Qcow2Header {
  readonly format: 'qcow2';
  readonly version: 2 | 3;
  readonly virtualBytes: number;
  readonly clusterBytes: number;
  /** Where the LUKS1 header lies in the file, and what it says. */
  readonly luksOffset: number;
  readonly luks: Luks1Header;
}

/** Judges a qcow2 header before any other tool opens the file. One private function per rule, one code per refusal. */
export async function guardQcow2(source: ByteSource): Promise<Qcow2Header> {
  const head = await source.read(0, Math.min(source.sizeBytes, QCOW2_HEADER_BYTES_MAX));
  if (head.length < V2_BYTES) throw new ImageError(head.subarray(0, 4).equals(QCOW2_MAGIC) ? 'IMAGE_TRUNCATED' : 'QCOW2_MAGIC');
  if (!head.subarray(0, QCOW2_MAGIC.length).equals(QCOW2_MAGIC)) throw new ImageError('QCOW2_MAGIC');
  const version = demandVersion(head);
  const features = version === 3 ? demandFeatures(head) : 0n;
  const headerBytes = version === 3 ? demandHeaderLength(head) : V2_BYTES;
  demandNoBackingFile(head);
  demandNoSnapshots(head);
  const clusterBytes = demandClusterBits(head, features);
  const virtualBytes = demandVirtualSize(head);
  demandTables(head, clusterBytes, virtualBytes, features, source.sizeBytes);
  demandLuks(head);
  const { luks: place } = guardExtensions(head, headerBytes, clusterBytes, source.sizeBytes);
  if (place === undefined) throw new ImageError('QCOW2_NOT_LUKS', { expected: 'a full disk encryption extension' });
  if (place.offset % clusterBytes !== 0) throw new ImageError('LUKS_LOCATION', { got: `offset ${place.offset}` });
  const luks = await guardLuks1(source, place.offset, place.lengthBytes);
  return { format: 'qcow2', version, virtualBytes, clusterBytes, luksOffset: place.offset, luks };
}

function demandVersion(head: Buffer): 2 | 3 {
  const version = head.readUInt32BE(4);
  if (version !== 2 && version !== 3) throw new ImageError('QCOW2_VERSION', { expected: '2 or 3', got: String(version) });
  return version;
}

function demandFeatures(head: Buffer): bigint {
  if (head.length < V3_BYTES_MIN) throw new ImageError('IMAGE_TRUNCATED');
  const features = head.readBigUInt64BE(72);
  if ((features & EXTERNAL_DATA) !== 0n) throw new ImageError('QCOW2_DATA_FILE');
  if ((features & (DIRTY | CORRUPT)) !== 0n) throw new ImageError('QCOW2_DIRTY');
  const unknown = features & ~(COMPRESSION_TYPE | EXTENDED_L2);
  if (unknown !== 0n) throw new ImageError('QCOW2_FEATURE_UNKNOWN', { got: `0x${unknown.toString(16)}` });
  return features;
}

function demandHeaderLength(head: Buffer): number {
  const refcountOrder = head.readUInt32BE(96);
  const length = head.readUInt32BE(100);
  if (refcountOrder > 6)
    throw new ImageError('QCOW2_HEADER_LENGTH', { expected: 'refcount order up to 6', got: String(refcountOrder) });
  if (length < V3_BYTES_MIN || length % 8 !== 0 || length > head.length)
    throw new ImageError('QCOW2_HEADER_LENGTH', { got: String(length) });
  // Fields that a longer header adds must be zero when we do not know them; the first is the compression type (0 zlib, 1 zstd).
  const added = head.subarray(V3_BYTES_MIN, length);
  if ((added[0] ?? 0) > 1 || added.subarray(1).some((byte) => byte !== 0))
    throw new ImageError('QCOW2_FEATURE_UNKNOWN', { got: 'unknown header fields' });
  return length;
}

function demandNoBackingFile(head: Buffer): void {
  if (head.readBigUInt64BE(8) !== 0n || head.readUInt32BE(16) !== 0) throw new ImageError('QCOW2_BACKING_FILE');
}

function demandNoSnapshots(head: Buffer): void {
  const count = head.readUInt32BE(60);
  if (count !== 0) throw new ImageError('QCOW2_SNAPSHOTS', { expected: '0', got: String(count) });
}

function demandClusterBits(head: Buffer, features: bigint): number {
  const bits = head.readUInt32BE(20);
  const least = (features & EXTENDED_L2) === 0n ? 9 : 14; // extended L2 entries describe 32 subclusters of 512 bytes
  if (bits < least || bits > 21) throw new ImageError('QCOW2_CLUSTER_BITS', { expected: `${least} to 21`, got: String(bits) });
  return 2 ** bits;
}

function demandVirtualSize(head: Buffer): number {
  const size = readU64(head, 24, 'QCOW2_SIZE');
  if (size < 512 || size % 512 !== 0 || size > ARTIFACT_BYTES_MAX)
    throw new ImageError('QCOW2_SIZE', { expected: `512 to ${ARTIFACT_BYTES_MAX}`, got: String(size) });
  return size;
}

/** The tables that every reader loads whole: large enough for the disk, within QEMU's bounds, inside the file. */
function demandTables(head: Buffer, clusterBytes: number, virtualBytes: number, features: bigint, fileBytes: number): void {
  const entryBytes = (features & EXTENDED_L2) === 0n ? 8 : 16;
  const l1Needed = Math.ceil(virtualBytes / ((clusterBytes / entryBytes) * clusterBytes));
  const l1Bytes = head.readUInt32BE(36) * 8;
  if (l1Bytes < l1Needed * 8 || l1Bytes > QCOW2_L1_BYTES_MAX)
    throw new ImageError('QCOW2_TABLE', {
      expected: `an L1 table of ${l1Needed} entries or a few more`,
      got: String(l1Bytes / 8),
    });
  demandPlace(readU64(head, 40, 'QCOW2_TABLE'), l1Bytes, clusterBytes, fileBytes);
  const refcountBytes = head.readUInt32BE(56) * clusterBytes;
  if (refcountBytes < 1 || refcountBytes > QCOW2_REFCOUNT_TABLE_BYTES_MAX)
    throw new ImageError('QCOW2_TABLE', { got: `a refcount table of ${refcountBytes} bytes` });
  demandPlace(readU64(head, 48, 'QCOW2_TABLE'), refcountBytes, clusterBytes, fileBytes);
}

function demandPlace(offset: number, lengthBytes: number, clusterBytes: number, fileBytes: number): void {
  const inside = offset >= clusterBytes && offset % clusterBytes === 0 && offset + lengthBytes <= fileBytes;
  if (!inside)
    throw new ImageError('QCOW2_TABLE', {
      expected: `${lengthBytes} aligned bytes within ${fileBytes}`,
      got: `offset ${offset}`,
    });
}

function demandLuks(head: Buffer): void {
  const method = head.readUInt32BE(32);
  if (method !== CRYPT_LUKS)
    throw new ImageError('QCOW2_NOT_LUKS', { expected: `encryption method ${CRYPT_LUKS}`, got: String(method) });
}
