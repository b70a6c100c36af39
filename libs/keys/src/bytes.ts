import { createHash, timingSafeEqual } from 'node:crypto';
import { type Digest, digest } from '@carnet/events';

/** Cryptographic randomness, given by the caller. */
export type Random = (bytes: number) => Uint8Array;

/**
 * Fields as unambiguous bytes: label and each field behind its length (32 bits, big endian). No two different lists of fields
 * give the same bytes, so a value cannot be moved from one field into its neighbour.
 */
export function transcript(label: string, fields: readonly (string | number | Uint8Array)[]): Buffer {
  const parts: Buffer[] = [];
  for (const field of [label, ...fields]) {
    const bytes = field instanceof Uint8Array ? Buffer.from(field) : Buffer.from(String(field), 'utf8');
    const length = Buffer.alloc(4);
    length.writeUInt32BE(bytes.length);
    parts.push(length, bytes);
  }
  return Buffer.concat(parts);
}

export function sha256(...parts: readonly Uint8Array[]): Buffer {
  const hash = createHash('sha256');
  for (const part of parts) hash.update(part);
  return hash.digest();
}

export const digestOf = (...parts: readonly Uint8Array[]): Digest => digest.parse(sha256(...parts).toString('hex'));

/** Constant time for equal lengths. */
export const sameBytes = (a: Uint8Array, b: Uint8Array): boolean => a.length === b.length && timingSafeEqual(a, b);

export const fromBase64 = (text: string): Buffer => Buffer.from(text, 'base64');
export const toBase64 = (bytes: Uint8Array): string =>
  Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('base64');

/** Zeroes what it kept when its scope ends, on a throw too. JavaScript may have copied a buffer before; the child's exit ends those. */
export type Wiper = Disposable & { readonly keep: (bytes: Uint8Array) => Buffer };

export function wiper(): Wiper {
  const kept: Buffer[] = [];
  return {
    keep(bytes) {
      const view = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
      kept.push(view);
      return view;
    },
    [Symbol.dispose]() {
      for (const bytes of kept) bytes.fill(0);
    },
  };
}

/** Secrets never share Node's buffer pool, where a later `Buffer.from` could leave copies side by side. */
export function joinSecret(parts: readonly Uint8Array[]): Buffer {
  const joined = Buffer.alloc(parts.reduce((sum, part) => sum + part.length, 0));
  let offset = 0;
  for (const part of parts) {
    joined.set(part, offset);
    offset += part.length;
  }
  return joined;
}
