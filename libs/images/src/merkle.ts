import { appendLeaf, emptyTree, leafHash, treeRoot } from '@carnet/trust';

export interface MerkleAccumulator {
  add(leaf: Uint8Array): void;
  /** Merkle tree hash of the leaves so far. */
  root(): Buffer;
}

/** Root of an RFC 6962 tree over leaves that come one by one, in log2(n) memory. */
export function merkleAccumulator(): MerkleAccumulator {
  let tree = emptyTree;
  return {
    add(leaf) {
      tree = appendLeaf(tree, leafHash(leaf));
    },
    root: () => Buffer.from(treeRoot(tree)),
  };
}
