import { scrypt } from 'node:crypto';
import { z } from 'zod';
import { fromBase64, type Random, toBase64, transcript, wiper } from '../bytes.ts';
import {
  KEY_BYTES,
  SCRYPT_BLOCK_SIZE,
  SCRYPT_COST_MAX,
  SCRYPT_COST_MIN,
  SCRYPT_MEMORY_BYTES_MAX,
  SCRYPT_PARALLELIZATION,
  SCRYPT_SALT_BYTES,
} from '../limits.ts';
import { refuse, type VaultResult } from './refusal.ts';
import { openRecord, requireKey, sealRecord } from './wrap.ts';

/** scrypt's parameters (RFC 7914), bounded. */
export const scryptParameters = z
  .strictObject({
    cost: z
      .int()
      .min(SCRYPT_COST_MIN)
      .max(SCRYPT_COST_MAX)
      .refine((n) => Number.isInteger(Math.log2(n))),
    blockSize: z.literal(SCRYPT_BLOCK_SIZE),
    parallelization: z.literal(SCRYPT_PARALLELIZATION),
    salt: z.base64().length(Math.ceil(SCRYPT_SALT_BYTES / 3) * 4),
  })
  .readonly();

/** The sealed root as it lies on disk (JSON). Parameters are bounded when read and bound into the seal, so none can be lowered unseen. */
export const sealedRoot = z
  .strictObject({
    format: z.literal('carnet-sealed-root-v1'),
    scrypt: scryptParameters,
    /** AES-256-GCM: nonce ‖ ciphertext ‖ tag. */
    sealed: z.base64().max(128),
  })
  .readonly();
export type SealedRoot = z.infer<typeof sealedRoot>;

const rootAad = (p: SealedRoot['scrypt']): Buffer =>
  transcript('carnet/at-rest/root/v1', [p.cost, p.blockSize, p.parallelization, fromBase64(p.salt)]);

/** A key out of a passphrase. */
export const stretch = (passphrase: Uint8Array, p: SealedRoot['scrypt']): Promise<Buffer> =>
  new Promise((resolve, reject) => {
    const options = { cost: p.cost, blockSize: p.blockSize, parallelization: p.parallelization, maxmem: SCRYPT_MEMORY_BYTES_MAX };
    scrypt(passphrase, fromBase64(p.salt), KEY_BYTES, options, (error, key) => (error === null ? resolve(key) : reject(error)));
  });

/** A new random root under a passphrase (scrypt, RFC 7914). `cost` is N, a power of two. */
export async function sealRoot(passphrase: Uint8Array, cost: number, random: Random): Promise<SealedRoot> {
  using wipe = wiper();
  return await resealRoot(wipe.keep(random(KEY_BYTES)), passphrase, cost, random); // awaited: the wiper must not run before the seal
}

/** The same root under another passphrase. */
export async function resealRoot(root: Uint8Array, passphrase: Uint8Array, cost: number, random: Random): Promise<SealedRoot> {
  using wipe = wiper();
  const parameters = {
    cost,
    blockSize: SCRYPT_BLOCK_SIZE,
    parallelization: SCRYPT_PARALLELIZATION,
    salt: toBase64(random(SCRYPT_SALT_BYTES)),
  } as const;
  const key = wipe.keep(await stretch(passphrase, parameters));
  return {
    format: 'carnet-sealed-root-v1',
    scrypt: parameters,
    sealed: toBase64(sealRecord(key, rootAad(parameters), requireKey(root), random)),
  };
}

/** The root key. A wrong passphrase and a changed file cannot be told apart, and get the same code. */
export async function openRoot(passphrase: Uint8Array, file: SealedRoot): Promise<VaultResult<Buffer>> {
  using wipe = wiper();
  const key = wipe.keep(await stretch(passphrase, file.scrypt));
  const root = openRecord(key, rootAad(file.scrypt), fromBase64(file.sealed));
  return root === undefined ? refuse('ROOT_PASSPHRASE_WRONG') : { ok: true, value: requireKey(root) };
}
