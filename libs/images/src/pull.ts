import { dirname, resolve } from 'node:path';
import type { ConnectionOptions } from 'node:tls';
import type { DataPath, Digest, MigrationId, SealedArtifact } from '@carnet/events';
import { type Bitmap, bitmap } from './bitmap.ts';
import { openChunkWriter } from './chunk-writer.ts';
import { type Clock, monotonicClock } from './clock.ts';
import { fetchChunks } from './fetch-chunks.ts';
import { fetchManifest, openArtifact, sayBye } from './fetch-manifest.ts';
import { checkGrid, chunkCount, chunkLength } from './grid.ts';
import { STALL_MS_DEFAULT } from './limits.ts';
import { type Link, openLink } from './link.ts';
import { contextOf, type Manifest, type ManifestContext, openManifest, type SealContext } from './manifest.ts';
import { demand, ImageError, type Outcome, refusalOf, refuse, settle } from './outcome.ts';
import type { VerifyPeer } from './peer.ts';
import { type Progress, progressMeter } from './progress.ts';
import { demandSpace, discardStaging, fileExists, manifestBeside, openStaging, type Staging } from './staging.ts';
import { tokenBucket, unlimited } from './token-bucket.ts';
import { demandContent, matchingChunks } from './verify.ts';

export interface PullRequest {
  readonly endpoint: DataPath;
  /** Own key, chain and trust roots, as for `tls.connect`. */
  readonly tls: ConnectionOptions;
  readonly verifyPeer: VerifyPeer;
  /** SHA-256 of the DER of the source agent's leaf, from `OfferAgreed`. */
  readonly pinnedLeaf: Digest;
  readonly migration: MigrationId;
  /** From the signed `ImageSealed` event, and the migration it belongs to. */
  readonly expect: SealedArtifact;
  readonly of: SealContext;
  /** Where the artifact appears, whole and durable, or not at all; its manifest stays beside. */
  readonly into: string;
  /** Judges the verified file before it appears, e.g. by the header guard. Its path is in the staging folder. */
  readonly admit?: (stagedPath: string) => Promise<Outcome<unknown>>;
  readonly rateBytesPerSecond?: number;
  /** Longest time for one frame, in milliseconds. */
  readonly stallMs?: number;
  readonly clock?: Clock;
  readonly signal?: AbortSignal;
  readonly onProgress?: (progress: Progress) => void;
}

export interface Pulled {
  /** Bytes that travelled this time. */
  readonly receivedBytes: number;
  /** Bytes of an earlier attempt that were verified and kept; all of them when the artifact was already in place. */
  readonly keptBytes: number;
  /** Bytes outside holes. */
  readonly dataBytes: number;
  readonly manifest: string;
}

/** Paths being received into, in this process; a host has one agent. */
const receiving = new Set<string>();

/**
 * Fetches a sealed artifact from the source's agent. Every chunk is compared with the signed root before it is written,
 * and the file appears only when all are durable. Refusals that may pass (`retryable`) keep what was received: the same call
 * resumes. All others leave nothing behind. A repeated call after success verifies the file and reports it again.
 */
export async function pullArtifact(request: PullRequest): Promise<Outcome<Pulled>> {
  const into = resolve(request.into);
  if (receiving.has(into)) return refuse('BUSY', { got: into });
  receiving.add(into);
  try {
    return await settle(() => receive({ ...request, into }));
  } finally {
    receiving.delete(into);
  }
}

/** Gives up an artifact that was not received whole: removes what was kept for resuming. */
export const discardPull = (into: string): Promise<void> => discardStaging(resolve(into));

async function receive(request: PullRequest): Promise<Pulled> {
  const context = demand(checkGrid(contextOf(request.expect, request.of)));
  if (await fileExists(request.into)) return alreadyThere(request, context);
  const attempt: Attempt = { held: bitmap(chunkCount(context)), recalled: false };
  let staging: Staging | undefined;
  try {
    await demandSpace(dirname(request.into), 0);
    staging = await openStaging(request.into, context, request.expect.root);
    const pulled = await receiveInto(request, context, staging, attempt);
    await staging.publish();
    return pulled;
  } catch (error) {
    const refusal = refusalOf(error);
    if (refusal !== undefined) await (refusal.retryable ? keep(request.into, staging, attempt) : discardStaging(request.into));
    throw error;
  } finally {
    await staging?.close();
  }
}

interface Attempt {
  readonly held: Bitmap;
  /** Whether `held` knows of all that earlier attempts left; before that, their own map knows more. */
  recalled: boolean;
}

/** Keeps what is worth resuming; an attempt that came to nothing leaves nothing. */
async function keep(into: string, staging: Staging | undefined, { held, recalled }: Attempt): Promise<void> {
  if (!recalled) return;
  if (held.next(0) === held.length) await discardStaging(into);
  else await staging?.checkpoint(held).catch(() => undefined); // why we stopped says more than why this failed
}

/** A file in its place is either the artifact itself (we crashed before saying so) or not ours to touch. */
async function alreadyThere(request: PullRequest, context: ManifestContext): Promise<Pulled> {
  const path = manifestBeside(request.into);
  const manifest = await openManifest(path, context, request.expect.root).catch((error: unknown) => {
    throw refusalOf(error) === undefined ? error : new ImageError('TARGET_EXISTS', { got: request.into }, error);
  });
  try {
    await demandContent(request.into, manifest, request.signal);
    const { dataBytes } = census(manifest);
    return { receivedBytes: 0, keptBytes: dataBytes, dataBytes, manifest: path };
  } finally {
    await manifest.close();
  }
}

async function receiveInto(request: PullRequest, context: ManifestContext, staging: Staging, attempt: Attempt): Promise<Pulled> {
  const { held } = attempt;
  let link: Link | undefined;
  let manifest = await keptManifest(staging, context, request.expect.root);
  const writer = await openChunkWriter(staging.dataPath, staging.data);
  try {
    const keptBytes = manifest === undefined ? 0 : await recallHeld(staging, manifest, held, request.signal);
    attempt.recalled = true;
    link = await openLink({ ...request, stallMs: request.stallMs ?? STALL_MS_DEFAULT });
    await openArtifact(link, { migration: request.migration, artifact: request.expect.artifact, root: request.expect.root });
    if (manifest === undefined) {
      await fetchManifest(link, staging.manifestPath, context);
      manifest = await openManifest(staging.manifestPath, context, request.expect.root);
    }
    const { dataBytes, missing } = census(manifest, held);
    await demandSpace(dirname(staging.dataPath), dataBytes - keptBytes);
    const clock = request.clock ?? monotonicClock;
    const advance = progressMeter(dataBytes, keptBytes, clock, request.onProgress ?? (() => undefined));
    await fetchChunks({
      link,
      manifest,
      missing,
      writer,
      clock,
      bucket: request.rateBytesPerSecond === undefined ? unlimited : tokenBucket(request.rateBytesPerSecond, clock),
      ...(request.signal === undefined ? {} : { signal: request.signal }),
      onWritten(index, bytes) {
        held.add(index);
        advance(bytes);
      },
      checkpoint: () => staging.checkpoint(held),
    });
    await sayBye(link);
    await staging.data.sync();
    if (request.admit !== undefined) demand(await request.admit(staging.dataPath));
    return { receivedBytes: dataBytes - keptBytes, keptBytes, dataBytes, manifest: manifestBeside(request.into) };
  } finally {
    link?.close();
    await writer.close();
    await manifest?.close();
  }
}

/** The manifest of an earlier attempt, if it leads to the root we want now; what came for another root is forgotten. */
async function keptManifest(staging: Staging, context: ManifestContext, root: Digest): Promise<Manifest | undefined> {
  try {
    return await openManifest(staging.manifestPath, context, root);
  } catch (error) {
    if (refusalOf(error) === undefined) throw error;
    await staging.restart();
    return undefined;
  }
}

/**
 * Marks what an earlier attempt left, and returns its bytes. Its chunks were compared with the root before they were written
 * and were durable before the map said so: they count as they are while the file is unchanged, and are hashed again otherwise.
 */
async function recallHeld(staging: Staging, manifest: Manifest, held: Bitmap, signal?: AbortSignal): Promise<number> {
  let bytes = 0;
  const hold = (index: number): void => {
    held.add(index);
    bytes += chunkLength(manifest.context, index);
  };
  const claims = claimed(staging.kept, manifest);
  if (staging.unchanged) for (const index of claims) hold(index);
  else
    for await (const { index, matches } of matchingChunks(staging.dataPath, manifest, claims, signal)) if (matches) hold(index);
  return bytes;
}

function* claimed(kept: Bitmap, manifest: Manifest): Generator<number> {
  for (let index = kept.next(0); index < kept.length; index = kept.next(index + 1)) if (!manifest.isHole(index)) yield index;
}

/** What a manifest calls for: bytes outside holes, and the chunks of them that are not held. */
function census(
  manifest: Manifest,
  held: Bitmap = bitmap(manifest.chunks),
): { readonly dataBytes: number; readonly missing: Bitmap } {
  const missing = bitmap(manifest.chunks);
  let dataBytes = 0;
  for (let index = 0; index < manifest.chunks; index++) {
    if (manifest.isHole(index)) continue;
    dataBytes += chunkLength(manifest.context, index);
    if (!held.has(index)) missing.add(index);
  }
  return { dataBytes, missing };
}
