import { ed25519 } from '@noble/curves/ed25519.js';
import { sha256 as nobleSha256 } from '@noble/hashes/sha2.js';
import { isSoundPoint } from './ed25519-point.ts';
import { ED25519_KEY_BYTES, ED25519_SIGNATURE_BYTES } from './limits.ts';
import type { Primitives } from './primitives.ts';

/** PKCS #8 of an Ed25519 seed (RFC 8410, section 7): this prefix and 32 bytes. */
const PKCS8_PREFIX = Uint8Array.of(
  0x30,
  0x2e,
  0x02,
  0x01,
  0x00,
  0x30,
  0x05,
  0x06,
  0x03,
  0x2b,
  0x65,
  0x70,
  0x04,
  0x22,
  0x04,
  0x20,
);

export const sha256: Primitives['sha256'] = (...parts) => {
  const hash = nobleSha256.create();
  for (const part of parts) hash.update(part);
  return hash.digest();
};

export const toBase64: Primitives['toBase64'] = (bytes) => {
  let binary = '';
  for (const byte of bytes) binary += String.fromCharCode(byte);
  return btoa(binary);
};

export const fromBase64: Primitives['fromBase64'] = (text) => Uint8Array.from(atob(text), (c) => c.charCodeAt(0));

export const ed25519Public: Primitives['ed25519Public'] = (raw) => {
  if (raw.length !== ED25519_KEY_BYTES || !isSoundPoint(raw)) return undefined;
  const key = Uint8Array.from(raw);
  return (message, signature) => {
    if (signature.length !== ED25519_SIGNATURE_BYTES) return false;
    // noble verifies with the cofactor, OpenSSL without: for a sound key they differ only when R has a torsion part.
    return ed25519.verify(signature, message, key, { zip215: false }) && hasTorsionFreeR(signature);
  };
};

/** R may be the identity (a nonce of zero), which `isSoundPoint` refuses for keys. */
function hasTorsionFreeR(signature: Uint8Array): boolean {
  return ed25519.Point.fromBytes(signature.subarray(0, ED25519_KEY_BYTES), false).isTorsionFree();
}

export const ed25519Private: Primitives['ed25519Private'] = (key) => {
  if (!(key instanceof Uint8Array) || key.length !== PKCS8_PREFIX.length + ED25519_KEY_BYTES) return undefined;
  if (PKCS8_PREFIX.some((byte, i) => key[i] !== byte)) return undefined;
  const seed = key.slice(PKCS8_PREFIX.length);
  return { publicKey: ed25519.getPublicKey(seed), sign: (message) => ed25519.sign(message, seed) };
};
