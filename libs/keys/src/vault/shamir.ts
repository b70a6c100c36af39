import { combine, split } from 'shamir-secret-sharing';
import { KEY_BYTES } from '../limits.ts';

/** Shamir's scheme over GF(2^8), byte by byte, with one x for all bytes of a share: 32 bytes of y, then x. */
export const SHARE_BYTES = KEY_BYTES + 1;

/** The library takes plain `Uint8Array` only, and draws from WebCrypto itself. Each share is a buffer of its own: zero it. */
export async function splitKey(
  key: Uint8Array,
  { threshold, shares }: { readonly threshold: number; readonly shares: number },
): Promise<readonly Buffer[]> {
  const plain = Uint8Array.from(key);
  try {
    return (await split(plain, shares, threshold)).map((share) => Buffer.from(share.buffer, share.byteOffset, share.byteLength));
  } finally {
    plain.fill(0);
  }
}

/**
 * Whatever it is given, it answers *some* 32 bytes: neither too few shares nor a changed one is noticed here. So each share is checked
 * against what was published of it before, and the result by what it opens.
 */
export async function combineShares(shares: readonly Uint8Array[]): Promise<Buffer> {
  const plain = shares.map((share) => Uint8Array.from(share));
  try {
    const key = await combine(plain);
    return Buffer.from(key.buffer, key.byteOffset, key.byteLength);
  } finally {
    for (const share of plain) share.fill(0);
  }
}
