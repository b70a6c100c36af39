import { ed25519 } from '@noble/curves/ed25519.js';

/**
 * Whether 32 bytes are the canonical encoding of a point in the prime-order subgroup, and not the identity. RFC 8032 leaves to
 * implementations what to do with other points, and they differ (cofactored or not): a signer could make one event that some
 * verifiers take and others do not. Such keys are refused before they are announced.
 */
export function isSoundPoint(encoded: Uint8Array): boolean {
  try {
    const point = ed25519.Point.fromBytes(encoded, false);
    return !point.is0() && point.isTorsionFree();
  } catch {
    // No point at all: noble throws where this asks a question.
    return false;
  }
}
