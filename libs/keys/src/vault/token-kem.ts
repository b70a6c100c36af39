import { createHmac, ECDH } from 'node:crypto';
import { KEM_DHKEM_P256_HKDF_SHA256, type KEMFactory } from 'hpke';
import { HASH_BYTES } from '../limits.ts';

/** Diffie-Hellman with a private key that is elsewhere: 32 bytes, the x-coordinate of the shared point. */
export type Agree = (point: Buffer) => Buffer;

/**
 * DHKEM(P-256, HKDF-SHA256) whose private key stays in a token: the token does the Diffie-Hellman, and the rest of Decap (RFC 9180,
 * section 4.1) is done here. Everything else is the library's.
 */
export const tokenKem =
  (publicKey: Uint8Array, agree: Agree): KEMFactory =>
  () => ({
    ...KEM_DHKEM_P256_HKDF_SHA256(),
    Decap: async (enc: Uint8Array) => extractAndExpand(agree(pointOf(enc)), Buffer.concat([enc, publicKey])),
  });

/** Stands for the private key, which is not here, where the library asks for one. */
export const KEY_IN_TOKEN = {
  type: 'private',
  algorithm: { name: 'ECDH', namedCurve: 'P-256' },
  extractable: false,
} as const;

/** Section 7.1.4. Threat: a point off the curve would tell about the private key, and not every token looks. Throws. */
const pointOf = (enc: Uint8Array): Buffer =>
  Buffer.from(ECDH.convertKey(enc, 'prime256v1', undefined, undefined, 'uncompressed'));

const VERSION = Buffer.from('HPKE-v1');
/** "KEM" and the KEM's id. */
const SUITE_ID = Buffer.concat([Buffer.from('KEM'), Buffer.from([0x00, 0x10])]);

/** HKDF-SHA256 with labels (section 4): one block of output is all that is asked for. */
function extractAndExpand(dh: Buffer, context: Uint8Array): Uint8Array {
  const hmac = (key: Uint8Array, ...parts: readonly Uint8Array[]): Buffer =>
    createHmac('sha256', key).update(Buffer.concat(parts)).digest();
  const prk = hmac(Buffer.alloc(0), VERSION, SUITE_ID, Buffer.from('eae_prk'), dh);
  const length = Buffer.from([0, HASH_BYTES]);
  const secret = hmac(prk, length, VERSION, SUITE_ID, Buffer.from('shared_secret'), context, Buffer.from([1]));
  for (const used of [dh, prk]) used.fill(0);
  return secret;
}
