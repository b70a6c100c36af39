import type { FileHandle } from 'node:fs/promises';
import { type ArtifactId, type ArtifactKind, type Digest, digest, type SealedArtifact } from '@carnet/events';
import { allChunks, chunkDigests } from './chunk-digests.ts';
import { holeMap } from './extents.ts';
import { openForReading, writeFully, writeWhole } from './files.ts';
import { checkGrid, chunkCount, chunkLength, chunkOffset, usualChunkBytes } from './grid.ts';
import { DIGEST_BYTES, MANIFEST_WINDOW_DIGESTS } from './limits.ts';
import { contextOf, type ManifestContext, manifestHead, manifestTree, type SealContext } from './manifest.ts';
import { demand, ImageError, type Outcome, settle } from './outcome.ts';

export interface SealRequest extends SealContext {
  readonly artifact: ArtifactId;
  readonly kind: ArtifactKind;
  /** A power of two from 4 KiB to 16 MiB; 1 MiB up to 1 TiB unless given. */
  readonly chunkBytes?: number;
  /** Where to keep the manifest; beside the file (`<file>.manifest`) unless given. */
  readonly manifest?: string;
  readonly signal?: AbortSignal;
  readonly onProgress?: (bytes: number, totalBytes: number) => void;
}

export interface Seal {
  /** What goes into the signed `ImageSealed` event. */
  readonly sealed: SealedArtifact;
  /** Path of the manifest file. */
  readonly manifest: string;
  readonly chunks: number;
  readonly holes: number;
  /** Bytes outside holes: what a first transfer sends. */
  readonly dataBytes: number;
}

/**
 * Hashes a file that nothing writes to, keeps its manifest durably beside it and returns what is to be signed.
 * Reads each allocated byte once; memory is a few chunks.
 */
export const seal = (file: string, request: SealRequest): Promise<Outcome<Seal>> =>
  settle(async () => {
    const manifest = request.manifest ?? `${file}.manifest`;
    const { artifact, kind } = request;
    const context = (sizeBytes: number): ManifestContext =>
      contextOf({ artifact, kind, sizeBytes, chunkBytes: request.chunkBytes ?? usualChunkBytes(sizeBytes) }, request);
    const { sizeBytes, chunkBytes, root, ...found } = await sealContent(file, manifest, context, request);
    return { sealed: { artifact, kind, sizeBytes, chunkBytes, root }, manifest, ...found };
  });

interface SealedContent {
  readonly sizeBytes: number;
  readonly chunkBytes: number;
  readonly root: Digest;
  readonly chunks: number;
  readonly holes: number;
  readonly dataBytes: number;
}

/** Seals for any purpose: migrations and the image store bind different contexts. */
export async function sealContent(
  file: string,
  manifest: string,
  contextFor: (sizeBytes: number) => ManifestContext,
  watch: Pick<SealRequest, 'signal' | 'onProgress'>,
): Promise<SealedContent> {
  const handle = await openForReading(file);
  try {
    const before = await handle.stat({ bigint: true });
    const context = demand(checkGrid(contextFor(Number(before.size))));
    const absent = await holeMap(file, context, Number(before.blocks) * 512);
    const tree = manifestTree(context);
    let holes = 0;
    let dataBytes = 0;
    await writeWhole(manifest, async (out) => {
      const keep = digestWriter(out, manifestHead(context));
      for await (const { index, digest: chunk, hole } of chunkDigests(handle, context, {
        indexes: allChunks(context),
        absent,
        ...(watch.signal === undefined ? {} : { signal: watch.signal }),
      })) {
        tree.add(chunk);
        if (hole) holes++;
        else dataBytes += chunkLength(context, index);
        watch.onProgress?.(Math.min(context.sizeBytes, chunkOffset(context, index + 1)), context.sizeBytes);
        await keep.add(chunk);
      }
      await keep.flush();
      const after = await handle.stat({ bigint: true });
      if (after.size !== before.size || after.mtimeNs !== before.mtimeNs) throw new ImageError('SOURCE_CHANGED');
    });
    return {
      sizeBytes: context.sizeBytes,
      chunkBytes: context.chunkBytes,
      root: digest.parse(tree.root().toString('hex')),
      chunks: chunkCount(context),
      holes,
      dataBytes,
    };
  } finally {
    await handle.close();
  }
}

/** Appends digests to a manifest file in blocks. */
export function digestWriter(out: FileHandle, head: Buffer): { add(chunk: Buffer): Promise<void>; flush(): Promise<void> } {
  const block = Buffer.alloc(MANIFEST_WINDOW_DIGESTS * DIGEST_BYTES);
  let filled = 0;
  let position = head.length;
  let headWritten = false;
  const flush = async (): Promise<void> => {
    if (!headWritten) await writeFully(out, head, 0);
    headWritten = true;
    await writeFully(out, block.subarray(0, filled), position);
    position += filled;
    filled = 0;
  };
  return {
    async add(chunk) {
      chunk.copy(block, filled);
      filled += DIGEST_BYTES;
      if (filled === block.length) await flush();
    },
    flush,
  };
}
