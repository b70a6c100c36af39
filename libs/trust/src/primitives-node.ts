import { createHash, createPrivateKey, createPublicKey, KeyObject, sign, verify } from 'node:crypto';
import { isSoundPoint } from './ed25519-point.ts';
import { ED25519_KEY_BYTES, ED25519_SIGNATURE_BYTES, SOUND_KEYS_MAX } from './limits.ts';
import type { Primitives } from './primitives.ts';

/** SubjectPublicKeyInfo of an Ed25519 key (RFC 8410, section 4): this prefix and 32 bytes. */
const SPKI_PREFIX = Uint8Array.of(0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00);

export const sha256: Primitives['sha256'] = (...parts) => {
  const hash = createHash('sha256');
  for (const part of parts) hash.update(part);
  return plain(hash.digest());
};

/** A Buffer’s `slice` and `toString` are not those of a Uint8Array: none leaves this file. */
const plain = (bytes: Buffer): Uint8Array => new Uint8Array(bytes.buffer, bytes.byteOffset, bytes.length);

const viewOf = (bytes: Uint8Array): Buffer => Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);

export const toBase64: Primitives['toBase64'] = (bytes) => viewOf(bytes).toString('base64');

export const fromBase64: Primitives['fromBase64'] = (text) => plain(Buffer.from(text, 'base64'));

/** Sound keys that were read, the latest last: whether a point is sound takes ten times as long as to verify a signature. */
const sound = new Map<string, KeyObject>();

export const ed25519Public: Primitives['ed25519Public'] = (raw) => {
  if (raw.length !== ED25519_KEY_BYTES) return undefined;
  const name = viewOf(raw).toString('base64');
  const key = sound.get(name) ?? readSound(raw);
  if (key === undefined) return undefined;
  sound.delete(name);
  sound.set(name, key);
  // Hostile keys may be many: they push each other out, and cost what they cost before.
  const [oldest = name] = sound.keys();
  if (sound.size > SOUND_KEYS_MAX) sound.delete(oldest);
  return (message, signature) => signature.length === ED25519_SIGNATURE_BYTES && verify(null, message, key, signature);
};

// A KeyObject is parsed once: verifying from PEM each time costs a third of the speed.
const readSound = (raw: Uint8Array): KeyObject | undefined =>
  isSoundPoint(raw) ? createPublicKey({ key: Buffer.concat([SPKI_PREFIX, raw]), format: 'der', type: 'spki' }) : undefined;

export const ed25519Private: Primitives['ed25519Private'] = (key) => {
  const privateKey = key instanceof KeyObject ? key : readPkcs8(key);
  if (privateKey?.type !== 'private' || privateKey.asymmetricKeyType !== 'ed25519') return undefined;
  const spki = createPublicKey(privateKey).export({ format: 'der', type: 'spki' });
  return {
    publicKey: Uint8Array.from(spki.subarray(SPKI_PREFIX.length)),
    sign: (message) => plain(sign(null, message, privateKey)),
  };
};

function readPkcs8(der: Uint8Array): KeyObject | undefined {
  try {
    return createPrivateKey({ key: viewOf(der), format: 'der', type: 'pkcs8' });
  } catch {
    // The parser's message may quote key material: only "no key" leaves this function.
    return undefined;
  }
}
