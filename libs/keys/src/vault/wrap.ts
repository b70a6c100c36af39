import { createCipheriv, createDecipheriv, createHmac, hkdfSync } from 'node:crypto';
import { joinSecret, type Random } from '../bytes.ts';
import { CODES } from '../codes.ts';
import { GCM_NONCE_BYTES, GCM_TAG_BYTES, KEY_BYTES, WRAPPED_KEY_BYTES } from '../limits.ts';
import { KeysError } from '../result.ts';

/** RFC 3394, section 2.2.3.1: the default initial value, in which the integrity check lies. */
const KEY_WRAP_IV = Buffer.alloc(8, 0xa6);

/**
 * A key is 32 bytes and not all zero. Zeroing buffers has its own danger: one wiped too early would seal everything under zeros, and
 * everything would still open. That is a bug, so it throws.
 */
export function requireKey<B extends Uint8Array>(key: B): B {
  if (key.length !== KEY_BYTES || key.every((byte) => byte === 0))
    throw new KeysError('KEY_ZEROED', CODES.KEY_ZEROED.text, { retryable: false });
  return key;
}

/** AES-256-KW (RFC 3394): 32 bytes in, 40 out, deterministic. Used where the protocol says so: the DEK under HKDF(Krel). */
export function keyWrap(wrappingKey: Uint8Array, key: Uint8Array): Buffer {
  const cipher = createCipheriv('id-aes256-wrap', requireKey(wrappingKey), KEY_WRAP_IV);
  return Buffer.concat([cipher.update(requireKey(key)), cipher.final()]);
}

/** `undefined` when the integrity check fails: another wrapping key, or changed bytes. */
export function keyUnwrap(wrappingKey: Uint8Array, wrapped: Uint8Array): Buffer | undefined {
  if (wrapped.length !== WRAPPED_KEY_BYTES) return undefined;
  try {
    const decipher = createDecipheriv('id-aes256-wrap', wrappingKey, KEY_WRAP_IV);
    return joinSecret([decipher.update(wrapped), decipher.final()]);
  } catch {
    return undefined;
  }
}

/**
 * AES-256-GCM: nonce ‖ ciphertext ‖ tag. For everything at rest, since AES-KW binds nothing: whoever can write the database could
 * put one tenant's wrapped key into another's row. Here the row's identity is `aad`, and such a row no longer opens.
 */
export function sealRecord(key: Uint8Array, aad: Uint8Array, plaintext: Uint8Array, random: Random): Buffer {
  const nonce = random(GCM_NONCE_BYTES);
  const cipher = createCipheriv('aes-256-gcm', requireKey(key), nonce).setAAD(aad);
  const body = [cipher.update(plaintext), cipher.final()];
  return Buffer.concat([nonce, ...body, cipher.getAuthTag()]);
}

export function openRecord(key: Uint8Array, aad: Uint8Array, sealed: Uint8Array): Buffer | undefined {
  if (sealed.length < GCM_NONCE_BYTES + GCM_TAG_BYTES) return undefined;
  try {
    const decipher = createDecipheriv('aes-256-gcm', key, sealed.subarray(0, GCM_NONCE_BYTES), { authTagLength: GCM_TAG_BYTES })
      .setAAD(aad)
      .setAuthTag(sealed.subarray(sealed.length - GCM_TAG_BYTES));
    const body = decipher.update(sealed.subarray(GCM_NONCE_BYTES, sealed.length - GCM_TAG_BYTES));
    return joinSecret([body, decipher.final()]);
  } catch {
    return undefined;
  }
}

/** HKDF-SHA-256 (RFC 5869) to one AES-256 key. */
export const deriveKey = (secret: Uint8Array, salt: Uint8Array, info: Uint8Array): Buffer =>
  Buffer.from(hkdfSync('sha256', secret, salt, info, KEY_BYTES));

export const hmac = (key: Uint8Array, message: Uint8Array): Buffer => createHmac('sha256', key).update(message).digest();
