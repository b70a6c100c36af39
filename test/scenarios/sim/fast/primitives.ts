import { createHash } from 'node:crypto';
import type { Primitives } from '../../../../libs/trust/src/primitives.ts';
import * as real from '../../../../libs/trust/src/primitives-node.ts';

export { fromBase64, sha256, toBase64 } from '../../../../libs/trust/src/primitives-node.ts';

/**
 * A hash of key and message in place of Ed25519's 64 bytes. The key is the public one, so anybody could forge: it serves where everybody signs with
 * keys of their own, and what is asked is what the parties do with what was signed.
 */
const signatureOf = (publicKey: Uint8Array, message: Uint8Array): Uint8Array => {
  const hash = createHash('sha512').update(publicKey).update(message).digest();
  return new Uint8Array(hash.buffer, hash.byteOffset, hash.length);
};

export const ed25519Public: Primitives['ed25519Public'] = (raw) =>
  real.ed25519Public(raw) === undefined
    ? undefined
    : (message, signature) => Buffer.compare(signatureOf(raw, message), signature) === 0;

export const ed25519Private: Primitives['ed25519Private'] = (key) => {
  const { publicKey } = real.ed25519Private(key) ?? {};
  return publicKey === undefined ? undefined : { publicKey, sign: (message) => signatureOf(publicKey, message) };
};
