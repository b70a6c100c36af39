import type { ByteSource } from './byte-source.ts';
import { LUKS_HEADER_BYTES_MAX, LUKS_STRIPES } from './limits.ts';
import { demandRounds, type LuksHash } from './luks-rounds.ts';
import { ImageError } from './outcome.ts';

/** LUKS On-Disk Format Specification 1.2.3, section 3 (partition header), figures 1 to 3. All numbers big endian. */
export const LUKS_MAGIC = Buffer.from('LUKS\xba\xbe', 'latin1');
const HEADER_BYTES = 592;
const SECTOR_BYTES = 512;
const SLOTS = 8;
const SLOT_BYTES = 48;
const SLOTS_AT = 208;
const SLOT_ENABLED = 0x00ac71f3;
const SLOT_DISABLED = 0x0000dead;

export interface Luks1Header {
  readonly version: 1;
  /** The volume key, in bytes: 32 or 64, half of it for each half of XTS. */
  readonly keyBytes: number;
  readonly hash: LuksHash;
  readonly uuid: string;
  /** Header, key slots and padding, in bytes: ciphertext begins here. */
  readonly headerBytes: number;
  readonly activeSlots: readonly number[];
}

/** A NUL-padded field. Anything but a short printable name ends the reading. */
function text(bytes: Buffer, offset: number, length: number): string {
  const field = bytes.subarray(offset, offset + length);
  const end = field.indexOf(0);
  const value = field.subarray(0, end < 0 ? length : end).toString('latin1');
  return /^[\x20-\x7e]*$/.test(value) ? value : '?';
}

/** Judges a LUKS1 header that must fit into `roomBytes` from `offset` on. */
export async function guardLuks1(source: ByteSource, offset: number, roomBytes: number): Promise<Luks1Header> {
  if (roomBytes < HEADER_BYTES)
    throw new ImageError('LUKS_LOCATION', { expected: `at least ${HEADER_BYTES} bytes`, got: String(roomBytes) });
  const bytes = await source.read(offset, HEADER_BYTES);
  if (!bytes.subarray(0, LUKS_MAGIC.length).equals(LUKS_MAGIC)) throw new ImageError('LUKS_MAGIC');
  if (bytes.readUInt16BE(6) !== 1) throw new ImageError('LUKS_VERSION', { expected: '1', got: String(bytes.readUInt16BE(6)) });

  const hash = demandCipher(bytes);
  const keyBytes = bytes.readUInt32BE(108);
  if (keyBytes !== 32 && keyBytes !== 64)
    throw new ImageError('LUKS_CIPHER', { expected: '32 or 64 key bytes', got: String(keyBytes) });

  const headerBytes = bytes.readUInt32BE(104) * SECTOR_BYTES;
  if (headerBytes < HEADER_BYTES || headerBytes > roomBytes || headerBytes > LUKS_HEADER_BYTES_MAX) {
    throw new ImageError('LUKS_LOCATION', {
      expected: `a payload within ${Math.min(roomBytes, LUKS_HEADER_BYTES_MAX)} bytes`,
      got: String(headerBytes),
    });
  }
  const activeSlots = demandSlots(bytes, keyBytes, headerBytes);
  demandDerivation(bytes, activeSlots, hash, keyBytes);
  return { version: 1, keyBytes, hash, uuid: text(bytes, 168, 40), headerBytes, activeSlots };
}

function demandCipher(bytes: Buffer): LuksHash {
  const cipher = `${text(bytes, 8, 32)}-${text(bytes, 40, 32)}`;
  const hash = text(bytes, 72, 32);
  if (cipher !== 'aes-xts-plain64') throw new ImageError('LUKS_CIPHER', { expected: 'aes-xts-plain64', got: cipher });
  if (hash !== 'sha256' && hash !== 'sha512') throw new ImageError('LUKS_CIPHER', { expected: 'sha256 or sha512', got: hash });
  return hash;
}

/** The digest of the volume key has 20 bytes: one hash's length, whichever hash it is. */
function demandDerivation(bytes: Buffer, activeSlots: readonly number[], hash: LuksHash, keyBytes: number): void {
  const digestRounds = bytes.readUInt32BE(164);
  const rounds = activeSlots.map((slot) => bytes.readUInt32BE(SLOTS_AT + slot * SLOT_BYTES + 4));
  if ([digestRounds, ...rounds].includes(0)) throw new ImageError('LUKS_KDF', { expected: 'at least 1 round', got: '0' });
  demandRounds(
    rounds.map((ofSlot) => ({ rounds: ofSlot, hash, keyBytes })),
    activeSlots.length,
    digestRounds,
  );
}

/** Each slot's key material lies behind the header and before the payload, none over another; at least one is in use. */
function demandSlots(bytes: Buffer, keyBytes: number, headerBytes: number): readonly number[] {
  const materialBytes = Math.ceil((keyBytes * LUKS_STRIPES) / SECTOR_BYTES) * SECTOR_BYTES;
  const active: number[] = [];
  const starts: number[] = [];
  for (let slot = 0; slot < SLOTS; slot++) {
    const at = SLOTS_AT + slot * SLOT_BYTES;
    const state = bytes.readUInt32BE(at);
    if (state !== SLOT_ENABLED && state !== SLOT_DISABLED)
      throw new ImageError('LUKS_KEY_SLOT', { got: `slot ${slot} in state ${state}` });
    if (bytes.readUInt32BE(at + 44) !== LUKS_STRIPES)
      throw new ImageError('LUKS_KEY_SLOT', { expected: `${LUKS_STRIPES} stripes`, got: String(bytes.readUInt32BE(at + 44)) });
    const start = bytes.readUInt32BE(at + 40) * SECTOR_BYTES;
    if (start < HEADER_BYTES || start + materialBytes > headerBytes)
      throw new ImageError('LUKS_LOCATION', { got: `slot ${slot} at ${start}` });
    starts.push(start);
    if (state !== SLOT_ENABLED) continue;
    active.push(slot);
  }
  starts.sort((a, b) => a - b);
  if (starts.some((start, index) => index > 0 && start - (starts[index - 1] ?? 0) < materialBytes))
    throw new ImageError('LUKS_KEY_SLOT', { got: 'slots that overlap' });
  if (active.length === 0) throw new ImageError('LUKS_KEY_SLOT', { got: 'no slot in use' });
  return active;
}
