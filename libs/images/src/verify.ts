import { open } from 'node:fs/promises';
import type { SealedArtifact } from '@carnet/events';
import { chunkDigests } from './chunk-digests.ts';
import { holeMap } from './extents.ts';
import { openForReading } from './files.ts';
import { contextOf, type Manifest, openManifest, type SealContext } from './manifest.ts';
import { ImageError, type Outcome, settle } from './outcome.ts';

/** Chunks of a file that are those of its manifest, among the given indexes. Reads and hashes each. */
export async function* matchingChunks(
  path: string,
  manifest: Manifest,
  indexes: Iterable<number>,
  signal?: AbortSignal,
): AsyncGenerator<{ readonly index: number; readonly matches: boolean }> {
  const handle = await open(path, 'r');
  try {
    const { blocks } = await handle.stat();
    const absent = await holeMap(path, manifest.context, blocks * 512);
    for await (const chunk of chunkDigests(handle, manifest.context, {
      indexes,
      absent,
      ...(signal === undefined ? {} : { signal }),
    })) {
      yield { index: chunk.index, matches: chunk.digest.equals(manifest.digestAt(chunk.index)) };
    }
  } finally {
    await handle.close();
  }
}

/** Compares a whole file, its length included, with a manifest whose root has been checked. */
export async function demandContent(path: string, manifest: Manifest, signal?: AbortSignal): Promise<void> {
  const handle = await openForReading(path);
  const { size } = await handle.stat().finally(() => handle.close());
  if (size !== manifest.context.sizeBytes)
    throw new ImageError('CONTENT_MISMATCH', { expected: `${manifest.context.sizeBytes} bytes`, got: `${size} bytes` });
  for await (const { index, matches } of matchingChunks(path, manifest, Array(manifest.chunks).keys(), signal)) {
    if (!matches) throw new ImageError('CONTENT_MISMATCH', { got: `chunk ${index}` });
  }
}

/** Whether a file is the sealed artifact, by its manifest beside it: every byte is read and compared. */
export const verifyArtifact = (
  file: string,
  expect: SealedArtifact,
  of: SealContext,
  signal?: AbortSignal,
): Promise<Outcome<SealedArtifact>> =>
  settle(async () => {
    const manifest = await openManifest(`${file}.manifest`, contextOf(expect, of), expect.root);
    try {
      await demandContent(file, manifest, signal);
    } finally {
      await manifest.close();
    }
    return expect;
  });
