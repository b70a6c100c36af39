import { createHash } from 'node:crypto';
import { z } from 'zod';
import { type ByteSource, readU64 } from './byte-source.ts';
import {
  ARGON2_KIB_MAX,
  ARGON2_PASSES_MAX,
  LUKS_HEADER_BYTES_MAX,
  LUKS_ROUNDS_MAX,
  LUKS_STRIPES,
  LUKS2_METADATA_BYTES_MAX,
} from './limits.ts';
import { demandRounds } from './luks-rounds.ts';
import { LUKS_MAGIC } from './luks1.ts';
import { ImageError } from './outcome.ts';

/** LUKS2 On-Disk Format Specification 1.1.1: binary header (section 2.1), JSON area (section 3). */
const BINARY_BYTES = 4_096;
const METADATA_BYTES_MIN = 16_384;
const CHECKSUM_AT = 448;
const CHECKSUM_BYTES = 64;

export interface Luks2Header {
  readonly version: 2;
  readonly uuid: string;
  /** Both metadata copies and the key slot area, in bytes: ciphertext begins here. */
  readonly headerBytes: number;
  readonly activeSlots: readonly number[];
}

const decimal = z
  .string()
  .regex(/^[0-9]{1,15}$/)
  .transform(Number);
const slotName = z.string().regex(/^[0-9]{1,2}$/);
const cipher = z.literal('aes-xts-plain64');
const hash = z.enum(['sha256', 'sha512']);

const rounds = z.int().min(1).max(LUKS_ROUNDS_MAX);

const kdf = z.discriminatedUnion('type', [
  z.object({ type: z.literal('pbkdf2'), hash, iterations: rounds }),
  z.object({
    type: z.enum(['argon2i', 'argon2id']),
    time: z.int().min(1).max(ARGON2_PASSES_MAX),
    memory: z.int().min(1).max(ARGON2_KIB_MAX),
    cpus: z.int().min(1).max(16),
  }),
]);

const keyslot = z.object({
  type: z.literal('luks2'),
  key_size: z.union([z.literal(32), z.literal(64)]),
  af: z.object({ type: z.literal('luks1'), stripes: z.literal(LUKS_STRIPES), hash }),
  area: z.object({
    type: z.literal('raw'),
    offset: decimal,
    size: decimal,
    encryption: cipher,
    key_size: z.union([z.literal(32), z.literal(64)]),
  }),
  kdf,
});

/** One encrypted segment, no integrity, no reencryption under way, no requirement that we would not understand. */
const metadata = z.object({
  keyslots: z.record(slotName, keyslot),
  segments: z.strictObject({
    '0': z.strictObject({
      type: z.literal('crypt'),
      offset: decimal,
      size: z.union([z.literal('dynamic'), decimal]),
      iv_tweak: z.literal('0'),
      encryption: cipher,
      sector_size: z.union([z.literal(512), z.literal(4_096)]),
      flags: z.array(z.never()).optional(),
    }),
  }),
  digests: z.record(slotName, z.object({ type: z.literal('pbkdf2'), iterations: rounds })),
  config: z.object({
    json_size: decimal,
    keyslots_size: decimal,
    requirements: z.object({ mandatory: z.array(z.never()).optional() }).optional(),
  }),
});
type Metadata = z.infer<typeof metadata>;

/** Judges a LUKS2 header at the start of a file. */
export async function guardLuks2(source: ByteSource): Promise<Luks2Header> {
  const binary = await source.read(0, BINARY_BYTES);
  if (!binary.subarray(0, LUKS_MAGIC.length).equals(LUKS_MAGIC)) throw new ImageError('LUKS_MAGIC');
  if (binary.readUInt16BE(6) !== 2) throw new ImageError('LUKS_VERSION', { expected: '2', got: String(binary.readUInt16BE(6)) });
  const size = readU64(binary, 8, 'LUKS_LOCATION');
  const allowed =
    size >= METADATA_BYTES_MIN && size <= LUKS2_METADATA_BYTES_MAX && Number.isInteger(Math.log2(size / METADATA_BYTES_MIN));
  if (!allowed || readU64(binary, 256, 'LUKS_LOCATION') !== 0)
    throw new ImageError('LUKS_LOCATION', { got: `metadata of ${size} bytes` });

  const area = await source.read(0, size);
  demandChecksum(area);
  const json = parseMetadata(area.subarray(BINARY_BYTES));
  demandDerivation(json);
  const headerBytes = demandLayout(json, size, source.sizeBytes);
  const uuid = area.subarray(168, 208).toString('latin1').replaceAll('\0', '');
  return {
    version: 2,
    uuid: /^[0-9a-f-]{36}$/.test(uuid) ? uuid : '?',
    headerBytes,
    activeSlots: Object.keys(json.keyslots).map(Number),
  };
}

function demandChecksum(area: Buffer): void {
  const algorithm = area.subarray(72, 104).toString('latin1').replaceAll('\0', '');
  if (algorithm !== 'sha256') throw new ImageError('LUKS2_CHECKSUM', { expected: 'sha256' });
  const digest = createHash('sha256')
    .update(area.subarray(0, CHECKSUM_AT))
    .update(Buffer.alloc(CHECKSUM_BYTES))
    .update(area.subarray(CHECKSUM_AT + CHECKSUM_BYTES))
    .digest();
  if (!digest.equals(area.subarray(CHECKSUM_AT, CHECKSUM_AT + digest.length))) throw new ImageError('LUKS2_CHECKSUM');
}

function parseMetadata(area: Buffer): Metadata {
  const end = area.indexOf(0);
  let json: unknown;
  try {
    json = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(area.subarray(0, end < 0 ? area.length : end)));
  } catch (cause) {
    throw new ImageError('LUKS2_METADATA', {}, cause);
  }
  const parsed = metadata.safeParse(json);
  if (parsed.success) return parsed.data;
  const path = parsed.error.issues[0]?.path.map(String) ?? [];
  if (path.includes('kdf') || path.includes('digests')) throw new ImageError('LUKS_KDF', {}, parsed.error);
  if (path.includes('encryption') || path.includes('hash') || path.includes('key_size'))
    throw new ImageError('LUKS_CIPHER', {}, parsed.error);
  throw new ImageError('LUKS2_METADATA', {}, parsed.error);
}

/** A digest here is as long as its hash. Which of several a slot is checked against is the header's to say, so that all of them count. */
function demandDerivation({ keyslots, digests }: Metadata): void {
  const slots = Object.values(keyslots);
  demandRounds(
    slots.flatMap(({ kdf: how, area }) =>
      how.type === 'pbkdf2' ? [{ rounds: how.iterations, hash: how.hash, keyBytes: area.key_size }] : [],
    ),
    slots.length,
    Object.values(digests).reduce((sum, { iterations }) => sum + iterations, 0),
  );
}

/** Where things lie: two copies of the metadata, the key slots behind them, then the one segment to the end of the file. */
function demandLayout(json: Metadata, metadataBytes: number, fileBytes: number): number {
  const areasFrom = metadataBytes * 2;
  const areasTo = areasFrom + json.config.keyslots_size;
  const segment = json.segments['0'];
  const segmentTo = segment.size === 'dynamic' ? segment.offset : segment.offset + segment.size;
  if (areasTo > segment.offset || segment.offset > LUKS_HEADER_BYTES_MAX || segmentTo > fileBytes)
    throw new ImageError('LUKS_LOCATION', { got: `payload at ${segment.offset}` });
  const areas = Object.values(json.keyslots)
    .map(({ area }) => area)
    .sort((a, b) => a.offset - b.offset);
  if (areas.length === 0) throw new ImageError('LUKS_KEY_SLOT', { got: 'no slot in use' });
  let free = areasFrom;
  for (const { offset, size } of areas) {
    if (offset < free) throw new ImageError('LUKS_KEY_SLOT', { got: 'slots that overlap' });
    free = offset + size;
  }
  if (free > areasTo) throw new ImageError('LUKS_LOCATION', { got: 'a key slot outside its area' });
  return segment.offset;
}
