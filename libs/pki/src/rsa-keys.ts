import { createPrivateKey, createPublicKey, generateKeyPair, type KeyObject } from 'node:crypto';
import { mkdir, readFile, rename, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { RSA_BITS, RSA_EXPONENT } from './limits.ts';

export type RsaKeyPair = { readonly publicKey: KeyObject; readonly privateKey: KeyObject };

/** Where new RSA keys come from. */
export type RsaKeySource = () => Promise<RsaKeyPair>;

const generate = promisify(generateKeyPair);

/** Keys of node:crypto, made on its thread pool: several requests run side by side. */
export const freshRsaKeys: RsaKeySource = () => generate('rsa', { modulusLength: RSA_BITS, publicExponent: RSA_EXPONENT });

/**
 * FOR TESTS AND BENCHMARKS ONLY. The n-th call gives the n-th key of a directory, which is filled as needed: RSA-3072 keys take
 * about 0.3 s each to make. Whoever reads the directory knows the keys.
 */
export function rememberedRsaKeys(dir: string): RsaKeySource {
  let calls = 0;
  return async () => {
    const file = join(dir, `rsa-${RSA_BITS}-${String(calls++).padStart(3, '0')}.pem`);
    const known = await readFile(file, 'utf8').catch(() => undefined);
    if (known !== undefined) return pairOf(createPrivateKey(known));
    const pair = await freshRsaKeys();
    await mkdir(dir, { recursive: true, mode: 0o700 });
    // Another test process may fill the same directory: whole files only.
    const draft = `${file}.${process.pid}`;
    await writeFile(draft, privateKeyPem(pair.privateKey), { mode: 0o600 });
    await rename(draft, file);
    return pair;
  };
}

const pairOf = (privateKey: KeyObject): RsaKeyPair => ({ privateKey, publicKey: createPublicKey(privateKey) });

/** PKCS #8 in PEM. The text cannot be wiped from memory: write it out and let go of it. */
export const privateKeyPem = (key: KeyObject): string => key.export({ format: 'pem', type: 'pkcs8' }).toString();
