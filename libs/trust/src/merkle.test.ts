import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  appendLeaf,
  consistencyProof,
  emptyTree,
  inclusionProof,
  leafHash,
  merkleRoot,
  treeRoot,
  verifyConsistency,
  verifyInclusion,
} from './merkle.ts';

const hex = (bytes: Uint8Array) => Buffer.from(bytes).toString('hex');

/** The inputs of certificate-transparency's own Merkle tests, and the root after each of them. */
const CT_INPUTS = ['', '00', '10', '2021', '3031', '40414243', '5051525354555657', '606162636465666768696a6b6c6d6e6f'];
const CT_ROOTS = [
  '6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d',
  'fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125',
  'aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77',
  'd37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7',
  '4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4',
  '76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef',
  'ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c',
  '5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328',
];
const ctLeaves = CT_INPUTS.map((input) => leafHash(Buffer.from(input, 'hex')));
const leavesOf = (n: number) => Array.from({ length: n }, (_, i) => leafHash(Uint8Array.of(i % 256, i >> 8)));
const sizes = fc.integer({ min: 1, max: 130 });

describe('RFC 6962 trees', () => {
  it('has the root of an empty tree', () => {
    expect(hex(treeRoot(emptyTree))).toBe('e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855');
  });

  it.each(CT_ROOTS.map((root, i) => [i + 1, root] as const))('has the known root of the first %i test inputs', (size, root) => {
    expect(hex(merkleRoot(ctLeaves.slice(0, size)))).toBe(root);
  });

  it('proves inclusion as certificate-transparency does', () => {
    expect(inclusionProof(ctLeaves, 5).map(hex)).toEqual([
      'bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b',
      'ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0',
      'd37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7',
    ]);
  });

  it('proves consistency as certificate-transparency does', () => {
    expect(consistencyProof(ctLeaves, 6).map(hex)).toEqual([
      '0ebc5d3437fbe2db158b9f126a1d118e308181031d0a949f8dededebc558ef6a',
      'ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0',
      'd37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7',
    ]);
  });

  it('grows leaf by leaf to the same root', () => {
    const grown = ctLeaves.reduce(appendLeaf, emptyTree);
    expect(hex(treeRoot(grown))).toBe(CT_ROOTS.at(-1));
  });
});

describe('proofs', () => {
  it('verify for every leaf, and for no other index, size or root', () => {
    fc.assert(
      fc.property(sizes, fc.nat(), fc.nat(), (size, pick, other) => {
        const leaves = leavesOf(size);
        const index = pick % size;
        const leaf = leaves[index] ?? new Uint8Array();
        const claim = { leaf, index, size, root: merkleRoot(leaves), proof: inclusionProof(leaves, index) };
        expect(verifyInclusion(claim)).toBe(true);
        const wrongIndex = other % (size + 3);
        expect(verifyInclusion({ ...claim, index: wrongIndex })).toBe(wrongIndex === index);
        expect(verifyInclusion({ ...claim, leaf: leafHash(Uint8Array.of(9, 9, 9)) })).toBe(false);
        expect(verifyInclusion({ ...claim, proof: [...claim.proof, leaf] })).toBe(false);
        expect(verifyInclusion({ ...claim, root: leafHash(claim.root) })).toBe(false);
      }),
    );
  });

  it('of consistency verify for every prefix, and for no tampered one', () => {
    fc.assert(
      fc.property(sizes, fc.nat(), (newSize, pick) => {
        const leaves = leavesOf(newSize);
        const oldSize = 1 + (pick % newSize);
        const oldRoot = merkleRoot(leaves.slice(0, oldSize));
        const claim = { oldSize, oldRoot, newSize, newRoot: merkleRoot(leaves), proof: consistencyProof(leaves, oldSize) };
        expect(verifyConsistency(claim)).toBe(true);
        expect(verifyConsistency({ ...claim, oldRoot: leafHash(oldRoot) })).toBe(false);
        expect(verifyConsistency({ ...claim, newRoot: leafHash(oldRoot) })).toBe(false);
        expect(verifyConsistency({ ...claim, proof: [...claim.proof, oldRoot] })).toBe(false);
        expect(verifyConsistency({ ...claim, oldSize: newSize + 1 })).toBe(false);
      }),
    );
  });

  it('let an empty tree be the beginning of any other', () => {
    const [root = new Uint8Array()] = ctLeaves;
    const claim = { oldSize: 0, oldRoot: treeRoot(emptyTree), newSize: 1, newRoot: root, proof: [] };
    expect(verifyConsistency(claim)).toBe(true);
    expect(verifyConsistency({ ...claim, oldRoot: root })).toBe(false);
  });

  it('refuse nonsense sizes', () => {
    const [leaf = new Uint8Array()] = ctLeaves;
    for (const size of [-1, 0.5, Number.NaN, 2 ** 53]) {
      expect(verifyInclusion({ leaf, index: 0, size, root: leaf, proof: [] })).toBe(false);
      expect(verifyConsistency({ oldSize: size, oldRoot: leaf, newSize: 1, newRoot: leaf, proof: [] })).toBe(false);
    }
    expect(() => inclusionProof(ctLeaves, 8)).toThrow('RANGE');
    expect(() => consistencyProof(ctLeaves, 9)).toThrow('RANGE');
  });
});
