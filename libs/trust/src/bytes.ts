import type { Digest, Seq } from '@carnet/events';
import { sha256 } from '#primitives';
import { TrustError } from './error.ts';
import { HASH_BYTES } from './limits.ts';

const HEX = Array.from({ length: 256 }, (_, byte) => byte.toString(16).padStart(2, '0'));

const hexOf = (bytes: Uint8Array): string => {
  let hex = '';
  for (const byte of bytes) hex += HEX[byte] ?? '';
  return hex;
};

/** A 32-byte hash as events carry it. */
export function digestOf(hash: Uint8Array): Digest {
  if (hash.length !== HASH_BYTES) throw new TrustError('RANGE', `expected a hash of ${HASH_BYTES} bytes, got ${hash.length}`);
  return hexOf(hash) as Digest; // brand constructor: 64 lowercase hex characters by construction
}

/** The 32 bytes of a digest. */
export function hashOf(digest: Digest): Uint8Array {
  const hash = new Uint8Array(HASH_BYTES);
  for (let i = 0; i < HASH_BYTES; i++) hash[i] = Number.parseInt(digest.slice(2 * i, 2 * i + 2), 16);
  return hash;
}

/** SHA-256 over the concatenation of the parts. */
export const sha256Hex = (...parts: readonly Uint8Array[]): Digest => digestOf(sha256(...parts));

/** A ledger position as text. */
export function seqOf(position: number): Seq {
  if (!Number.isSafeInteger(position) || position < 1)
    throw new TrustError('RANGE', `expected a sequence from 1, got ${position}`);
  return String(position) as Seq; // brand constructor: a safe integer from 1 by the check above
}

/** A ledger position as a number; 0 for an empty ledger. */
export const positionOf = (seq: Seq | undefined): number => (seq === undefined ? 0 : Number(seq));
