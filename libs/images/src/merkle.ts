import { createHash } from 'node:crypto';

/** RFC 6962, section 2.1: domain separation of leaves and nodes. */
const LEAF = Buffer.of(0);
const NODE = Buffer.of(1);

const leafHash = (leaf: Uint8Array): Buffer => createHash('sha256').update(LEAF).update(leaf).digest();
const nodeHash = (left: Uint8Array, right: Uint8Array): Buffer =>
  createHash('sha256').update(NODE).update(left).update(right).digest();

export interface MerkleAccumulator {
  add(leaf: Uint8Array): void;
  /** Merkle tree hash of the leaves so far; of none: SHA-256 of nothing. */
  root(): Buffer;
}

/** Root of an RFC 6962 tree over leaves that come one by one, in log2(n) memory. */
export function merkleAccumulator(): MerkleAccumulator {
  const peaks: { readonly height: number; readonly hash: Buffer }[] = [];
  return {
    add(leaf) {
      let peak = { height: 0, hash: leafHash(leaf) };
      for (let last = peaks.at(-1); last !== undefined && last.height === peak.height; last = peaks.at(-1)) {
        peaks.pop();
        peak = { height: peak.height + 1, hash: nodeHash(last.hash, peak.hash) };
      }
      peaks.push(peak);
    },
    root() {
      if (peaks.length === 0) return createHash('sha256').digest();
      return peaks.map((peak) => peak.hash).reduceRight((right, left) => nodeHash(left, right));
    },
  };
}
