import { readSync } from 'node:fs';
import {
  type ArtifactId,
  type ArtifactKind,
  type Digest,
  digest,
  type Epoch,
  type SealedArtifact,
  type VmId,
} from '@carnet/events';
import { openForReading, readFully } from './files.ts';
import { type ChunkGrid, checkGrid, chunkCount, holeDigests } from './grid.ts';
import { DIGEST_BYTES, MANIFEST_CONTEXT_BYTES_MAX, MANIFEST_WINDOW_DIGESTS } from './limits.ts';
import { type MerkleAccumulator, merkleAccumulator } from './merkle.ts';
import { demand, ImageError } from './outcome.ts';

/**
 * What a manifest is bound to. It is the first leaf of the tree, so a root says of which VM, epoch and round it is: the
 * same bytes sealed for another round have another root, and no root can be replayed.
 */
export type ManifestContext = ChunkGrid &
  (
    | {
        readonly purpose: 'migration';
        readonly vm: VmId;
        readonly epoch: Epoch;
        readonly round: number;
        readonly artifact: ArtifactId;
        readonly kind: ArtifactKind;
      }
    | { readonly purpose: 'image'; readonly name: string }
  );

/** The migration that a sealed artifact belongs to. */
export interface SealContext {
  readonly vm: VmId;
  readonly epoch: Epoch;
  readonly round: number;
}

const MAGIC = 'CARNETM1';
const HEAD_BYTES = MAGIC.length + 4;

/** Canonical bytes: a version line, then one JSON array of fixed order. Longer than a digest, so never taken for a chunk's leaf. */
export function contextBytes(context: ManifestContext): Buffer {
  const { sizeBytes, chunkBytes } = context;
  const fields =
    context.purpose === 'migration'
      ? [context.purpose, context.vm, context.epoch, context.round, context.artifact, context.kind, sizeBytes, chunkBytes]
      : [context.purpose, context.name, sizeBytes, chunkBytes];
  return Buffer.from(`carnet/manifest/v1\n${JSON.stringify(fields)}`, 'utf8');
}

/** The context that a signed artifact and its migration prescribe. */
export const contextOf = (sealed: Omit<SealedArtifact, 'root'>, of: SealContext): ManifestContext => ({
  purpose: 'migration',
  vm: of.vm,
  epoch: of.epoch,
  round: of.round,
  artifact: sealed.artifact,
  kind: sealed.kind,
  sizeBytes: sealed.sizeBytes,
  chunkBytes: sealed.chunkBytes,
});

/** A manifest's tree, fed with chunk digests in order. */
export function manifestTree(context: ManifestContext): MerkleAccumulator {
  const tree = merkleAccumulator();
  tree.add(contextBytes(context));
  return tree;
}

/** Bytes of a manifest file before its digests: magic, length of the context, context. */
export function manifestHead(context: ManifestContext): Buffer {
  const bytes = contextBytes(context);
  const head = Buffer.alloc(HEAD_BYTES);
  head.write(MAGIC, 'latin1');
  head.writeUInt32BE(bytes.length, MAGIC.length);
  return Buffer.concat([head, bytes]);
}

/** A manifest on disk whose root has been checked. Read by windows: memory does not grow with the image. */
export interface Manifest {
  readonly context: ManifestContext;
  readonly chunks: number;
  readonly root: Digest;
  /** SHA-256 of a chunk; the view is valid until the next call. */
  digestAt(index: number): Buffer;
  isHole(index: number): boolean;
  close(): Promise<void>;
}

/**
 * Opens a manifest file that must be of this context and lead to this root (`null`: whatever root it has, for one that is
 * ours and unsigned so far). `visit` sees every digest once, in order, while the root is computed.
 */
export async function openManifest(
  path: string,
  context: ManifestContext,
  root: Digest | null,
  visit: (index: number, digest: Buffer) => void = () => undefined,
): Promise<Manifest> {
  demand(checkGrid(context));
  const handle = await openForReading(path);
  try {
    const head = manifestHead(context);
    const chunks = chunkCount(context);
    const { size } = await handle.stat();
    if (head.length > MANIFEST_CONTEXT_BYTES_MAX || size !== head.length + chunks * DIGEST_BYTES) {
      throw new ImageError('MANIFEST_MISMATCH', {
        expected: `${head.length + chunks * DIGEST_BYTES} bytes`,
        got: `${size} bytes`,
      });
    }
    const found = Buffer.alloc(head.length);
    await readFully(handle, found, 0, 'MANIFEST_MALFORMED');
    if (!found.equals(head)) throw new ImageError('MANIFEST_MISMATCH');

    const tree = manifestTree(context);
    const window = Buffer.alloc(MANIFEST_WINDOW_DIGESTS * DIGEST_BYTES);
    for (let first = 0; first < chunks; first += MANIFEST_WINDOW_DIGESTS) {
      const part = window.subarray(0, Math.min(MANIFEST_WINDOW_DIGESTS, chunks - first) * DIGEST_BYTES);
      await readFully(handle, part, head.length + first * DIGEST_BYTES, 'MANIFEST_MALFORMED');
      for (let at = 0; at < part.length; at += DIGEST_BYTES) {
        const chunk = part.subarray(at, at + DIGEST_BYTES);
        tree.add(chunk);
        visit(first + at / DIGEST_BYTES, chunk);
      }
    }
    const got = digest.parse(tree.root().toString('hex'));
    if (root !== null && got !== root) throw new ImageError('ROOT_MISMATCH', { expected: root, got });
    const digestAt = windowed(handle.fd, head.length, chunks);
    const holes = holeDigests(context);
    return {
      context,
      chunks,
      root: got,
      digestAt,
      isHole: (index) => holes.is(index, digestAt(index)),
      close: () => handle.close(),
    };
  } catch (error) {
    await handle.close();
    throw error;
  }
}

/** Digests by index through one window. Synchronous: a window is 64 KiB of a file that was read a moment ago. */
function windowed(fd: number, start: number, chunks: number): (index: number) => Buffer {
  const window = Buffer.alloc(MANIFEST_WINDOW_DIGESTS * DIGEST_BYTES);
  let first = -1;
  return (index) => {
    if (!Number.isInteger(index) || index < 0 || index >= chunks)
      throw new RangeError(`expected a chunk below ${chunks}, got ${index}`);
    const wanted = index - (index % MANIFEST_WINDOW_DIGESTS);
    if (wanted !== first) {
      const length = Math.min(MANIFEST_WINDOW_DIGESTS, chunks - wanted) * DIGEST_BYTES;
      if (readSync(fd, window, 0, length, start + wanted * DIGEST_BYTES) !== length) throw new ImageError('MANIFEST_MALFORMED');
      first = wanted;
    }
    const at = (index - first) * DIGEST_BYTES;
    return window.subarray(at, at + DIGEST_BYTES);
  };
}
