import { sha256 } from '#primitives';
import { TrustError } from './error.ts';

// Merkle tree hash of RFC 6962, section 2.1. Leaves and nodes are hashed under different prefixes, so that no leaf can be passed
// off as a node. Hashes are 32 raw bytes; sizes are safe integers: shifts would cut them at 2^32.

const LEAF_PREFIX = Uint8Array.of(0x00);
const NODE_PREFIX = Uint8Array.of(0x01);

export const leafHash = (data: Uint8Array): Uint8Array => sha256(LEAF_PREFIX, data);
export const nodeHash = (left: Uint8Array, right: Uint8Array): Uint8Array => sha256(NODE_PREFIX, left, right);

/** A tree that only grows: the roots of its perfect subtrees, largest first. Plain data of at most 53 hashes. */
export type MerkleTree = { readonly size: number; readonly peaks: readonly Uint8Array[] };

export const emptyTree: MerkleTree = { size: 0, peaks: [] };

/** Amortised one hash per leaf. `leaf` is a leaf hash. */
export function appendLeaf(tree: MerkleTree, leaf: Uint8Array): MerkleTree {
  const peaks = [...tree.peaks];
  let node = leaf;
  for (let n = tree.size; n % 2 === 1; n = half(n)) {
    const left = peaks.pop();
    if (left === undefined) throw new TrustError('RANGE', `expected a peak for each bit of size ${tree.size}`);
    node = nodeHash(left, node);
  }
  return { size: tree.size + 1, peaks: [...peaks, node] };
}

/** The root; of an empty tree the hash of nothing. */
export function treeRoot(tree: MerkleTree): Uint8Array {
  return tree.peaks.length === 0 ? sha256() : tree.peaks.reduceRight((right, left) => nodeHash(left, right));
}

/** The root over leaf hashes, in one pass and logarithmic memory. */
export function merkleRoot(leaves: Iterable<Uint8Array>): Uint8Array {
  let tree = emptyTree;
  for (const leaf of leaves) tree = appendLeaf(tree, leaf);
  return treeRoot(tree);
}

/** PATH(index, leaves): siblings from the leaf up (RFC 6962, section 2.1.1). */
export function inclusionProof(leaves: readonly Uint8Array[], index: number): readonly Uint8Array[] {
  if (!Number.isSafeInteger(index) || index < 0 || index >= leaves.length) {
    throw new TrustError('RANGE', `expected a leaf below ${leaves.length}, got ${index}`);
  }
  if (leaves.length === 1) return [];
  const k = splitOf(leaves.length);
  const [left, right] = [leaves.slice(0, k), leaves.slice(k)];
  return index < k
    ? [...inclusionProof(left, index), merkleRoot(right)]
    : [...inclusionProof(right, index - k), merkleRoot(left)];
}

/** PROOF(oldSize, leaves): that the first `oldSize` leaves are a prefix (RFC 6962, section 2.1.2). Empty for 0 and for all. */
export function consistencyProof(leaves: readonly Uint8Array[], oldSize: number): readonly Uint8Array[] {
  if (!Number.isSafeInteger(oldSize) || oldSize < 0 || oldSize > leaves.length) {
    throw new TrustError('RANGE', `expected a size of at most ${leaves.length}, got ${oldSize}`);
  }
  return oldSize === 0 ? [] : subproof(leaves, oldSize, 'old root is known');
}

/** SUBPROOF(m, D, b): the verifier can compute the old root itself only while no step to the right was taken. */
function subproof(
  leaves: readonly Uint8Array[],
  m: number,
  known: 'old root is known' | 'old root is not known',
): readonly Uint8Array[] {
  if (m === leaves.length) return known === 'old root is known' ? [] : [merkleRoot(leaves)];
  const k = splitOf(leaves.length);
  const [left, right] = [leaves.slice(0, k), leaves.slice(k)];
  return m <= k
    ? [...subproof(left, m, known), merkleRoot(right)]
    : [...subproof(right, m - k, 'old root is not known'), merkleRoot(left)];
}

/** The claim that `leaf` (a leaf hash) stands at `index` of the tree of `size` leaves with this root. */
export type Inclusion = {
  readonly leaf: Uint8Array;
  readonly index: number;
  readonly size: number;
  readonly root: Uint8Array;
  readonly proof: readonly Uint8Array[];
};

/** RFC 9162, section 2.1.3.2. The size must come from a signed head. */
export function verifyInclusion({ leaf, index, size, root, proof }: Inclusion): boolean {
  if (!isSize(index) || !isSize(size) || index >= size) return false;
  // fn: our position in the present level; sn: the last position in it.
  let [fn, sn, hash] = [index, size - 1, leaf];
  for (const sibling of proof) {
    if (sn === 0) return false;
    if (isOdd(fn) || fn === sn) {
      hash = nodeHash(sibling, hash);
      [fn, sn] = untilOdd(fn, sn);
    } else {
      hash = nodeHash(hash, sibling);
    }
    [fn, sn] = [half(fn), half(sn)];
  }
  return sn === 0 && equal(hash, root);
}

/** The claim that the tree of `newSize` leaves begins with the tree of `oldSize` leaves. */
export type Consistency = {
  readonly oldSize: number;
  readonly oldRoot: Uint8Array;
  readonly newSize: number;
  readonly newRoot: Uint8Array;
  readonly proof: readonly Uint8Array[];
};

/** That nothing before `oldSize` was changed, removed or re-ordered (RFC 9162, section 2.1.4.2). */
export function verifyConsistency({ oldSize, oldRoot, newSize, newRoot, proof }: Consistency): boolean {
  if (!isSize(oldSize) || !isSize(newSize) || oldSize > newSize) return false;
  if (oldSize === newSize) return proof.length === 0 && equal(oldRoot, newRoot);
  if (oldSize === 0) return proof.length === 0 && equal(oldRoot, sha256());
  const [first, ...rest] = isPowerOfTwo(oldSize) ? [oldRoot, ...proof] : proof;
  if (first === undefined) return false;
  let [fn, sn] = [oldSize - 1, newSize - 1];
  while (isOdd(fn)) [fn, sn] = [half(fn), half(sn)];
  // The same siblings rebuild both roots; those right of the old tree only the new one.
  let [oldHash, newHash] = [first, first];
  for (const sibling of rest) {
    if (sn === 0) return false;
    if (isOdd(fn) || fn === sn) {
      [oldHash, newHash] = [nodeHash(sibling, oldHash), nodeHash(sibling, newHash)];
      [fn, sn] = untilOdd(fn, sn);
    } else {
      newHash = nodeHash(newHash, sibling);
    }
    [fn, sn] = [half(fn), half(sn)];
  }
  return sn === 0 && equal(oldHash, oldRoot) && equal(newHash, newRoot);
}

const half = (n: number): number => Math.floor(n / 2);
const isOdd = (n: number): boolean => n % 2 === 1;
const isSize = (n: number): boolean => Number.isSafeInteger(n) && n >= 0;

/** Skips the levels on which the last node has no sibling. */
function untilOdd(fn: number, sn: number): readonly [number, number] {
  let pair: readonly [number, number] = [fn, sn];
  while (!isOdd(pair[0]) && pair[0] !== 0) pair = [half(pair[0]), half(pair[1])];
  return pair;
}

/** The largest power of two below n, for n ≥ 2. */
function splitOf(n: number): number {
  let k = 1;
  while (k * 2 < n) k *= 2;
  return k;
}

const isPowerOfTwo = (n: number): boolean => n === 1 || splitOf(n) * 2 === n;

/** Public hashes: no need for constant time. */
const equal = (a: Uint8Array, b: Uint8Array): boolean => a.length === b.length && a.every((byte, i) => byte === b[i]);
