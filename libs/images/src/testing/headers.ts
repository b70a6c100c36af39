import { createHash } from 'node:crypto';
import { QCOW2_MAGIC } from '../qcow2.ts';

/** A LUKS1 header as qemu-img writes it: AES-256-XTS, eight slots, the first in use. */
export function luks1(): Buffer {
  const bytes = Buffer.alloc(592);
  bytes.write('LUKS\xba\xbe', 0, 'latin1');
  bytes.writeUInt16BE(1, 6);
  bytes.write('aes', 8);
  bytes.write('xts-plain64', 40);
  bytes.write('sha256', 72);
  bytes.writeUInt32BE(4_040, 104);
  bytes.writeUInt32BE(64, 108);
  bytes.writeUInt32BE(41_460, 164);
  bytes.write('34d870df-3d31-464e-b9a7-26ac7f0478fd', 168);
  for (let slot = 0; slot < 8; slot++) {
    const at = 208 + slot * 48;
    bytes.writeUInt32BE(slot === 0 ? 0x00ac71f3 : 0x0000dead, at);
    bytes.writeUInt32BE(slot === 0 ? 165_829 : 0, at + 4);
    bytes.writeUInt32BE(8 + slot * 504, at + 40);
    bytes.writeUInt32BE(4_000, at + 44);
  }
  return bytes;
}

export const QCOW2_FILE_BYTES = 2_359_296;
const LUKS_AT = 0x40000;
export const LUKS_IN_QCOW2 = LUKS_AT;

/** A qcow2 v3 header of 64 MiB as qemu-img writes it, with the LUKS header at its place; the rest of the file is sparse. */
export function qcow2(): Buffer {
  const bytes = Buffer.alloc(LUKS_AT + 592);
  QCOW2_MAGIC.copy(bytes);
  bytes.writeUInt32BE(3, 4);
  bytes.writeUInt32BE(16, 20);
  bytes.writeBigUInt64BE(67_108_864n, 24);
  bytes.writeUInt32BE(2, 32);
  bytes.writeUInt32BE(1, 36);
  bytes.writeBigUInt64BE(0x30000n, 40);
  bytes.writeBigUInt64BE(0x10000n, 48);
  bytes.writeUInt32BE(1, 56);
  bytes.writeUInt32BE(4, 96);
  bytes.writeUInt32BE(112, 100);
  bytes.writeUInt32BE(0x0537be77, 112);
  bytes.writeUInt32BE(16, 116);
  bytes.writeBigUInt64BE(BigInt(LUKS_AT), 120);
  bytes.writeBigUInt64BE(2_068_480n, 128);
  luks1().copy(bytes, LUKS_AT);
  return bytes;
}

/** The same with clusters of 2 MiB, the largest: one for each of header, refcounts, L1 table, and then the LUKS header. */
export function qcow2OfClusters2M(): Buffer {
  const clusterBytes = 2_097_152;
  const bytes = Buffer.alloc(clusterBytes * 3 + 592);
  qcow2().copy(bytes, 0, 0, 144);
  bytes.writeUInt32BE(21, 20);
  bytes.writeBigUInt64BE(BigInt(clusterBytes * 2), 40);
  bytes.writeBigUInt64BE(BigInt(clusterBytes), 48);
  bytes.writeBigUInt64BE(BigInt(clusterBytes * 3), 120);
  luks1().copy(bytes, clusterBytes * 3);
  return bytes;
}

type Json = { [key: string]: Json } | Json[] | string | number;
const slot = (offset: number, kdf: Json): Json => ({
  type: 'luks2',
  key_size: 64,
  af: { type: 'luks1', stripes: 4_000, hash: 'sha256' },
  area: { type: 'raw', offset: String(offset), size: '258048', encryption: 'aes-xts-plain64', key_size: 64 },
  kdf,
});

/** Metadata as cryptsetup writes it. */
export const luks2Metadata = (): { [key: string]: Json } => ({
  keyslots: {
    '0': slot(32_768, { type: 'argon2id', time: 4, memory: 1_048_576, cpus: 4, salt: 'AAAA' }),
    '1': slot(290_816, { type: 'pbkdf2', hash: 'sha256', iterations: 1_000, salt: 'AAAA' }),
  },
  tokens: {},
  segments: {
    '0': { type: 'crypt', offset: '16777216', size: 'dynamic', iv_tweak: '0', encryption: 'aes-xts-plain64', sector_size: 512 },
  },
  digests: {
    '0': {
      type: 'pbkdf2',
      keyslots: ['0', '1'],
      segments: ['0'],
      hash: 'sha256',
      iterations: 100_000,
      salt: 'AAAA',
      digest: 'AAAA',
    },
  },
  config: { json_size: '12288', keyslots_size: '16744448' },
});

export const LUKS2_FILE_BYTES = 33_554_432;

/** A LUKS2 header with a right checksum over the given metadata. */
export function luks2(metadata: Json | string = luks2Metadata(), checksum: 'right' | 'wrong' = 'right'): Buffer {
  const bytes = Buffer.alloc(16_384);
  bytes.write('LUKS\xba\xbe', 0, 'latin1');
  bytes.writeUInt16BE(2, 6);
  bytes.writeBigUInt64BE(16_384n, 8);
  bytes.write('sha256', 72);
  bytes.write('34d870df-3d31-464e-b9a7-26ac7f0478fd', 168);
  bytes.write(typeof metadata === 'string' ? metadata : JSON.stringify(metadata), 4_096);
  const digest = createHash('sha256').update(bytes).digest();
  digest.copy(bytes, 448);
  if (checksum === 'wrong') bytes.writeUInt8(bytes.readUInt8(448) ^ 1, 448);
  return bytes;
}
