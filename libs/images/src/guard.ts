import { createHash } from 'node:crypto';
import { type Digest, digest, unreachable } from '@carnet/events';
import { type ByteSource, fileSource } from './byte-source.ts';
import { openForReading } from './files.ts';
import { guardLuks1, LUKS_MAGIC, type Luks1Header } from './luks1.ts';
import { guardLuks2, type Luks2Header } from './luks2.ts';
import { ImageError, type Outcome, settle } from './outcome.ts';
import { guardQcow2, QCOW2_MAGIC, type Qcow2Header } from './qcow2.ts';

/** What an image is said to be. Never probed: its bytes are the peer's, its format is ours to say. */
export type ImageFormat = 'qcow2' | 'raw';

export interface RawHeader {
  readonly format: 'raw';
  /** The volume's size: what follows the LUKS header. */
  readonly virtualBytes: number;
  readonly luksOffset: 0;
  readonly luks: Luks1Header | Luks2Header;
}
export type ImageHeader = Qcow2Header | RawHeader;

export interface GuardRequest {
  readonly format: ImageFormat;
  /** The virtual size that was agreed, in bytes; any within the bounds unless given. */
  readonly capacityBytes?: number;
}

/**
 * Judges an image from a peer before any other tool opens it: LUKS-encrypted, self-contained, within bounds. A raw image is
 * let through only as a LUKS volume: plaintext does not move, and no other format may hide behind the name.
 */
export const guardHeader = (file: string, request: GuardRequest): Promise<Outcome<ImageHeader>> =>
  settle(() => withSource(file, (source) => guardSource(source, request)));

/** As `guardHeader`, over bytes from anywhere. */
export async function guardSource(source: ByteSource, request: GuardRequest): Promise<ImageHeader> {
  const header = await guardFormat(source, request.format);
  if (request.capacityBytes !== undefined && header.virtualBytes !== request.capacityBytes) {
    throw new ImageError('IMAGE_CAPACITY', { expected: String(request.capacityBytes), got: String(header.virtualBytes) });
  }
  return header;
}

async function guardFormat(source: ByteSource, format: ImageFormat): Promise<ImageHeader> {
  switch (format) {
    case 'qcow2':
      return guardQcow2(source);
    case 'raw': {
      const luks = await guardRaw(source);
      return { format, virtualBytes: source.sizeBytes - luks.headerBytes, luksOffset: 0, luks };
    }
    default:
      return unreachable(format);
  }
}

async function guardRaw(source: ByteSource): Promise<Luks1Header | Luks2Header> {
  const head = await source.read(0, Math.min(8, source.sizeBytes));
  if (head.subarray(0, 4).equals(QCOW2_MAGIC)) throw new ImageError('RAW_DISGUISED', { got: 'qcow2' });
  if (head.length < 8 || !head.subarray(0, LUKS_MAGIC.length).equals(LUKS_MAGIC)) throw new ImageError('RAW_NOT_ENCRYPTED');
  const version = head.readUInt16BE(6);
  if (version === 1) return guardLuks1(source, 0, source.sizeBytes);
  if (version === 2) return guardLuks2(source);
  throw new ImageError('LUKS_VERSION', { expected: '1 or 2', got: String(version) });
}

/**
 * SHA-256 of the LUKS header with its key slots, up to the first byte of ciphertext. Frozen between trial unlock and
 * release (protocol, section 6): another digest means another set of slots.
 */
export const luksHeaderDigest = (file: string, request: GuardRequest): Promise<Outcome<Digest>> =>
  settle(() =>
    withSource(file, async (source) => {
      const { luksOffset, luks } = await guardSource(source, request);
      const bytes = await source.read(luksOffset, luks.headerBytes); // bounded by LUKS_HEADER_BYTES_MAX
      return digest.parse(createHash('sha256').update(bytes).digest('hex'));
    }),
  );

async function withSource<T>(file: string, use: (source: ByteSource) => Promise<T>): Promise<T> {
  const handle = await openForReading(file);
  try {
    return await use(await fileSource(handle));
  } finally {
    await handle.close();
  }
}
