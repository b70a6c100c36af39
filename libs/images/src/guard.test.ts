import { ARTIFACT_BYTES_MAX } from '@carnet/events';
import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { type ByteSource, memorySource } from './byte-source.ts';
import { type GuardRequest, guardSource } from './guard.ts';
import { LUKS2_METADATA_BYTES_MAX, QCOW2_HEADER_BYTES_MAX } from './limits.ts';
import { settle } from './outcome.ts';
import { codeOf } from './testing/fixture.ts';
import {
  LUKS_IN_QCOW2,
  LUKS2_FILE_BYTES,
  luks1,
  luks2,
  luks2Metadata,
  QCOW2_FILE_BYTES,
  qcow2,
  qcow2OfClusters2M,
} from './testing/headers.ts';

const judge = async (bytes: Buffer, sizeBytes: number, request: GuardRequest): Promise<string> =>
  codeOf(await settle(() => guardSource(memorySource(bytes, sizeBytes), request)));
type Change = (bytes: Buffer) => void;
const u32 =
  (at: number, value: number): Change =>
  (bytes) =>
    void bytes.writeUInt32BE(value >>> 0, at);
const u64 =
  (at: number, value: bigint): Change =>
  (bytes) =>
    void bytes.writeBigUInt64BE(value, at);
const text =
  (at: number, value: string): Change =>
  (bytes) =>
    void bytes.write(`${value}\0`, at, 'latin1');
/** An extension put before the encryption header's, which moves on. */
const extension =
  (kind: number, data: Buffer): Change =>
  (bytes) => {
    const padded = Buffer.alloc(Math.ceil(data.length / 8) * 8);
    data.copy(padded);
    bytes.copy(bytes, 112 + 8 + padded.length, 112, 112 + 32);
    bytes.writeUInt32BE(kind, 112);
    bytes.writeUInt32BE(data.length, 116);
    padded.copy(bytes, 120);
  };
const bitmaps = (count: number, size: bigint, offset: bigint): Buffer => {
  const data = Buffer.alloc(24);
  data.writeUInt32BE(count, 0);
  data.writeBigUInt64BE(size, 8);
  data.writeBigUInt64BE(offset, 16);
  return data;
};

describe('qcow2', () => {
  const changes: readonly (readonly [string, string, Change])[] = [
    ['as qemu-img writes it', 'ok', () => undefined],
    ['a feature name table', 'ok', extension(0x6803f857, Buffer.alloc(96, 1))],
    ['bitmaps within the file', 'ok', extension(0x23852875, bitmaps(1, 64n, 0x20000n))],
    ['another magic', 'QCOW2_MAGIC', u32(0, 0x51464900)],
    ['version 1', 'QCOW2_VERSION', u32(4, 1)],
    ['version 4', 'QCOW2_VERSION', u32(4, 4)],
    ['a backing file', 'QCOW2_BACKING_FILE', u64(8, 200n)],
    ['a backing file of no length', 'QCOW2_BACKING_FILE', u32(16, 11)],
    ['a backing format', 'QCOW2_BACKING_FILE', extension(0xe2792aca, Buffer.from('raw'))],
    ['an external data file, by feature', 'QCOW2_DATA_FILE', u64(72, 4n)],
    ['an external data file, by name', 'QCOW2_DATA_FILE', extension(0x44415441, Buffer.from('/etc/shadow'))],
    ['snapshots', 'QCOW2_SNAPSHOTS', u32(60, 1)],
    ['tiny clusters', 'QCOW2_CLUSTER_BITS', u32(20, 8)],
    ['huge clusters', 'QCOW2_CLUSTER_BITS', u32(20, 22)],
    ['clusters of 2^4294967295 bytes', 'QCOW2_CLUSTER_BITS', u32(20, 0xffff_ffff)],
    ['no bytes', 'QCOW2_SIZE', u64(24, 0n)],
    ['half a sector', 'QCOW2_SIZE', u64(24, 67_108_865n)],
    ['more than the largest artifact', 'QCOW2_SIZE', u64(24, BigInt(ARTIFACT_BYTES_MAX) + 512n)],
    ['2^64 bytes', 'QCOW2_SIZE', u64(24, 0xffff_ffff_ffff_fe00n)],
    ['no encryption', 'QCOW2_NOT_LUKS', u32(32, 0)],
    ['the old AES encryption', 'QCOW2_NOT_LUKS', u32(32, 1)],
    ['LUKS without its header', 'QCOW2_NOT_LUKS', u32(112, 0)],
    ['an L1 table that is too small', 'QCOW2_TABLE', u32(36, 0)],
    ['an L1 table of 32 GiB', 'QCOW2_TABLE', u32(36, 0xffff_ffff)],
    ['an L1 table outside the file', 'QCOW2_TABLE', u64(40, 0x4000_0000n)],
    ['an L1 table over the header', 'QCOW2_TABLE', u64(40, 0n)],
    ['an unaligned L1 table', 'QCOW2_TABLE', u64(40, 0x30008n)],
    ['no refcounts', 'QCOW2_TABLE', u32(56, 0)],
    ['refcounts of 256 TiB', 'QCOW2_TABLE', u32(56, 0xffff_ffff)],
    ['refcounts beyond 2^63', 'QCOW2_TABLE', u64(48, 0xffff_ffff_ffff_0000n)],
    ['dirty', 'QCOW2_DIRTY', u64(72, 1n)],
    ['corrupt', 'QCOW2_DIRTY', u64(72, 2n)],
    ['an unknown feature', 'QCOW2_FEATURE_UNKNOWN', u64(72, 32n)],
    ['the last unknown feature', 'QCOW2_FEATURE_UNKNOWN', u64(72, 1n << 63n)],
    ['extended L2 entries in small clusters', 'QCOW2_CLUSTER_BITS', (bytes) => void [u64(72, 16n)(bytes), u32(20, 12)(bytes)]],
    ['an unknown compression', 'QCOW2_FEATURE_UNKNOWN', u32(104, 0x0200_0000)],
    ['an unknown header field', 'QCOW2_FEATURE_UNKNOWN', u32(108, 1)],
    ['a short header', 'QCOW2_HEADER_LENGTH', u32(100, 96)],
    ['a header of 4 GiB', 'QCOW2_HEADER_LENGTH', u32(100, 0xffff_fff8)],
    ['refcounts of 128 bits', 'QCOW2_HEADER_LENGTH', u32(96, 7)],
    ['an unknown extension', 'QCOW2_EXTENSION', extension(0x12345678, Buffer.alloc(8))],
    ['an extension longer than the cluster', 'QCOW2_EXTENSION', u32(116, 0xffff_ffff)],
    ['an encryption header of another length', 'QCOW2_EXTENSION', u32(116, 8)],
    ['two encryption headers', 'QCOW2_EXTENSION', (bytes) => void bytes.copy(bytes, 136, 112, 136)],
    ['bitmaps outside the file', 'QCOW2_BITMAPS', extension(0x23852875, bitmaps(1, 64n, 0x4000_0000n))],
    ['too many bitmaps', 'QCOW2_BITMAPS', extension(0x23852875, bitmaps(65_536, 64n, 0x20000n))],
    ['bitmaps of another length', 'QCOW2_BITMAPS', extension(0x23852875, Buffer.alloc(16))],
    ['a LUKS header outside the file', 'LUKS_LOCATION', u64(120, 0x4000_0000n)],
    ['a LUKS header over the header', 'LUKS_LOCATION', u64(120, 0n)],
    ['an unaligned LUKS header', 'LUKS_LOCATION', u64(120, 0x40200n)],
    ['a LUKS header of 2^64 bytes', 'LUKS_LOCATION', u64(128, 0xffff_ffff_ffff_ffffn)],
    ['a LUKS header without room', 'LUKS_LOCATION', u64(128, 100n)],
    ['no LUKS magic', 'LUKS_MAGIC', u32(LUKS_IN_QCOW2, 0)],
    ['LUKS2 inside', 'LUKS_VERSION', u32(LUKS_IN_QCOW2 + 4, 0xbabe_0002)],
    ['a payload beyond its room', 'LUKS_LOCATION', u32(LUKS_IN_QCOW2 + 104, 5_000)],
  ];
  test.each(changes)('%s: %s', async (_, code, change) => {
    const bytes = qcow2();
    change(bytes);
    expect(await judge(bytes, QCOW2_FILE_BYTES, { format: 'qcow2' })).toBe(code);
  });

  test('version 2 has no features, and its extensions follow at once', async () => {
    const bytes = qcow2();
    bytes.writeUInt32BE(2, 4);
    bytes.copy(bytes, 72, 112, 144);
    expect(await judge(bytes, QCOW2_FILE_BYTES, { format: 'qcow2' })).toBe('ok');
  });

  test('the agreed capacity counts', async () => {
    expect(await judge(qcow2(), QCOW2_FILE_BYTES, { format: 'qcow2', capacityBytes: 67_108_864 })).toBe('ok');
    expect(await judge(qcow2(), QCOW2_FILE_BYTES, { format: 'qcow2', capacityBytes: 67_109_376 })).toBe('IMAGE_CAPACITY');
  });

  // QEMU reads extensions to the end of the first cluster, whatever its size: more than we read.
  const names = { inOneRead: QCOW2_HEADER_BYTES_MAX - 144, inTwoReads: 2 * QCOW2_HEADER_BYTES_MAX };
  test.each([
    ['behind what was read', names.inOneRead, 'QCOW2_EXTENSION'],
    ['behind a table that is longer than what was read', names.inTwoReads, 'QCOW2_EXTENSION'],
    ['in sight', 96, 'QCOW2_EXTENSION'],
  ])('a second encryption header %s', async (_, namesBytes, code) => {
    const bytes = qcow2OfClusters2M();
    const second = 136 + 8 + Math.ceil(namesBytes / 8) * 8;
    bytes.writeUInt32BE(0x6803f857, 136);
    bytes.writeUInt32BE(namesBytes, 140);
    bytes.copy(bytes, second, 112, 136);
    expect(await judge(bytes, bytes.length + 2_068_480, { format: 'qcow2' })).toBe(code);
  });

  test('clusters of 2 MiB with an end mark in sight, and a header that fills its cluster without one', async () => {
    const large = qcow2OfClusters2M();
    expect(await judge(large, large.length + 2_068_480, { format: 'qcow2' })).toBe('ok');
    const full = qcow2();
    extension(0x6803f857, Buffer.alloc(QCOW2_HEADER_BYTES_MAX - 144))(full);
    expect(await judge(full, QCOW2_FILE_BYTES, { format: 'qcow2' })).toBe('ok');
  });

  test.each([0, 3, 50, 71, 100])('a file of %i bytes', async (size) => {
    expect(await judge(qcow2().subarray(0, size), size, { format: 'qcow2' })).toMatch(/^(QCOW2_MAGIC|IMAGE_TRUNCATED)$/);
  });
});

describe('LUKS1 as raw', () => {
  /** Slots in use from the first on, each with so many rounds. */
  const slots =
    (count: number, rounds: number): Change =>
    (bytes) => {
      for (let slot = 0; slot < count; slot++) {
        u32(208 + slot * 48, 0x00ac71f3)(bytes);
        u32(212 + slot * 48, rounds)(bytes);
      }
    };
  const both =
    (...all: readonly Change[]): Change =>
    (bytes) => {
      for (const change of all) change(bytes);
    };
  const changes: readonly (readonly [string, string, Change])[] = [
    ['as cryptsetup writes it', 'ok', () => undefined],
    ['SHA-512', 'ok', text(72, 'sha512')],
    ['plaintext', 'RAW_NOT_ENCRYPTED', u32(0, 0xeb639000)],
    ['a qcow2 in disguise', 'RAW_DISGUISED', u32(0, 0x514649fb)],
    ['version 3', 'LUKS_VERSION', u32(4, 0xbabe_0003)],
    ['a weak cipher', 'LUKS_CIPHER', text(8, 'cast5')],
    ['the null cipher', 'LUKS_CIPHER', text(8, 'cipher_null')],
    ['a weak mode', 'LUKS_CIPHER', text(40, 'ecb')],
    ['SHA-1', 'LUKS_CIPHER', text(72, 'sha1')],
    ['a cipher with escapes', 'LUKS_CIPHER', text(8, '\x1b[2J')],
    ['no key', 'LUKS_CIPHER', u32(108, 0)],
    ['a key of 4 GiB', 'LUKS_CIPHER', u32(108, 0xffff_ffff)],
    ['rounds for a year', 'LUKS_KDF', u32(164, 0xffff_ffff)],
    ['rounds for a year in a slot', 'LUKS_KDF', u32(208 + 4, 0xffff_ffff)],
    ['no rounds', 'LUKS_KDF', u32(164, 0)],
    ['no rounds in a slot', 'LUKS_KDF', u32(212, 0)],
    ['two seconds of a fast processor', 'ok', both(slots(1, 6_700_000), u32(164, 2_200_000))],
    ['eight slots as Carnet makes them', 'ok', both(slots(8, 100_000), u32(164, 20_000))],
    ['eight slots that only together take too long', 'LUKS_KDF', slots(8, 1_500_000)],
    ['a digest that takes too long once for each slot', 'LUKS_KDF', both(slots(8, 1_000), u32(164, 3_000_000))],
    ['the same digest after one slot', 'ok', both(slots(1, 1_000), u32(164, 3_000_000))],
    ['two hashes for one key', 'LUKS_KDF', slots(1, 12_500_000)],
    ['one hash for one key', 'ok', both(slots(1, 12_500_000), text(72, 'sha512'))],
    ['rounds of a slot that is not in use', 'ok', u32(212 + 48, 0xffff_ffff)],
    ['a detached header', 'LUKS_LOCATION', u32(104, 0)],
    ['a payload of 2 TiB on', 'LUKS_LOCATION', u32(104, 0xffff_ffff)],
    ['a slot over the header', 'LUKS_LOCATION', u32(208 + 40, 0)],
    ['a slot in the payload', 'LUKS_LOCATION', u32(208 + 40, 4_000)],
    ['slots that overlap', 'LUKS_KEY_SLOT', u32(208 + 48 + 40, 100)],
    ['no slot in use', 'LUKS_KEY_SLOT', u32(208, 0x0000dead)],
    ['a slot in no state', 'LUKS_KEY_SLOT', u32(208 + 48, 1)],
    ['stripes without end', 'LUKS_KEY_SLOT', u32(208 + 44, 0xffff_ffff)],
  ];
  test.each(changes)('%s: %s', async (_, code, change) => {
    const bytes = luks1();
    change(bytes);
    expect(await judge(bytes, 8_388_608, { format: 'raw' })).toBe(code);
  });
});

describe('LUKS2 as raw', () => {
  type Metadata = ReturnType<typeof luks2Metadata>;
  const edit = (change: (json: Metadata) => Metadata): Buffer => luks2(change(luks2Metadata()));
  const replace = (from: string, to: string): Buffer => luks2(JSON.stringify(luks2Metadata()).replace(from, to));
  const cases: readonly (readonly [string, string, Buffer])[] = [
    ['as cryptsetup writes it', 'ok', luks2()],
    ['a wrong checksum', 'LUKS2_CHECKSUM', luks2(luks2Metadata(), 'wrong')],
    ['no JSON', 'LUKS2_METADATA', luks2('{"keyslots":')],
    ['deep JSON', 'LUKS2_METADATA', luks2('['.repeat(12_000))],
    ['requirements', 'LUKS2_METADATA', replace('"config":{', '"config":{"requirements":{"mandatory":["online-reencrypt"]},')],
    ['two segments', 'LUKS2_METADATA', replace('"segments":{', '"segments":{"1":{},')],
    ['a linear (plaintext) segment', 'LUKS2_METADATA', replace('"crypt"', '"linear"')],
    [
      'another cipher',
      'LUKS_CIPHER',
      replace('"iv_tweak":"0","encryption":"aes-xts-plain64"', '"iv_tweak":"0","encryption":"cipher_null-ecb"'),
    ],
    ['Argon2 with 1 TiB', 'LUKS_KDF', replace('1048576', '1073741824')],
    ['rounds for a year', 'LUKS_KDF', replace('"iterations":1000,', '"iterations":99999999999,')],
    ['two hashes for one key', 'LUKS_KDF', replace('"iterations":1000,', '"iterations":12500000,')],
    ['a digest that takes too long once for each slot', 'LUKS_KDF', replace('"iterations":100000,', '"iterations":12500000,')],
    ['an unknown derivation', 'LUKS_KDF', replace('argon2id', 'md5')],
    ['slots that overlap', 'LUKS_KEY_SLOT', replace('290816', '32768')],
    ['a slot over the metadata', 'LUKS_KEY_SLOT', replace('32768', '0')],
    ['a slot outside its area', 'LUKS_LOCATION', replace('290816', '16777216')],
    ['a payload over the slots', 'LUKS_LOCATION', replace('"offset":"16777216"', '"offset":"32768"')],
    ['a payload outside the file', 'LUKS_LOCATION', replace('"dynamic"', '"999999999999999"')],
    ['no slots', 'LUKS_KEY_SLOT', edit((json) => ({ ...json, keyslots: {} }))],
    ['a number of 400 digits', 'LUKS2_METADATA', replace('16744448', '9'.repeat(400))],
  ];
  test.each(cases)('%s: %s', async (_, code, bytes) => {
    expect(await judge(bytes, LUKS2_FILE_BYTES, { format: 'raw' })).toBe(code);
  });
  test('absurd sizes of the metadata', async () => {
    for (const size of [0n, 4_096n, 20_000n, BigInt(LUKS2_METADATA_BYTES_MAX) * 2n, 0xffff_ffff_ffff_ffffn]) {
      const bytes = luks2();
      bytes.writeBigUInt64BE(size, 8);
      expect(await judge(bytes, LUKS2_FILE_BYTES, { format: 'raw' })).toBe('LUKS_LOCATION');
    }
  });
});

describe('hostile bytes', () => {
  /** Counts what a guard makes us allocate. */
  const metered = (source: ByteSource, reads: number[]): ByteSource => ({
    sizeBytes: source.sizeBytes,
    read(offset, length) {
      reads.push(length);
      return source.read(offset, length);
    },
  });
  const originals = [
    { format: 'qcow2', bytes: qcow2(), size: QCOW2_FILE_BYTES, areas: [0, LUKS_IN_QCOW2] },
    { format: 'raw', bytes: luks1(), size: 8_388_608, areas: [0] },
    { format: 'raw', bytes: luks2(), size: LUKS2_FILE_BYTES, areas: [0, 4_096] },
  ] as const;

  test('changed anywhere, cut anywhere: a verdict, never an exception, never a large allocation', async () => {
    const mutation = fc.record({
      original: fc.constantFrom(...originals),
      area: fc.nat(1),
      changes: fc.array(fc.record({ at: fc.nat(700), bytes: fc.uint8Array({ minLength: 1, maxLength: 8 }) }), { maxLength: 6 }),
      size: fc.option(fc.nat(QCOW2_FILE_BYTES)),
    });
    await fc.assert(
      fc.asyncProperty(mutation, async ({ original, area, changes, size }) => {
        const bytes = Buffer.from(original.bytes);
        for (const change of changes) Buffer.from(change.bytes).copy(bytes, (original.areas[area] ?? 0) + change.at);
        const fileBytes = size ?? original.size;
        const reads: number[] = [];
        const outcome = await settle(() =>
          guardSource(metered(memorySource(bytes.subarray(0, fileBytes), fileBytes), reads), { format: original.format }),
        );
        expect(outcome.ok || outcome.code.length > 0).toBe(true);
        expect(Math.max(0, ...reads)).toBeLessThanOrEqual(LUKS2_METADATA_BYTES_MAX);
        expect(reads.length).toBeLessThanOrEqual(4);
      }),
      { numRuns: 2_000 },
    );
  });

  test('noise of any length', async () => {
    await fc.assert(
      fc.asyncProperty(fc.uint8Array({ maxLength: 300 }), fc.constantFrom('qcow2', 'raw'), async (noise, format) => {
        expect(await judge(Buffer.from(noise), noise.length, { format })).not.toBe('ok');
      }),
    );
  });
});
