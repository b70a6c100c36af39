import type { TLSSocket } from 'node:tls';
import type { Digest, MigrationId } from '@carnet/events';
import type { Clock } from './clock.ts';
import { encodeFrame } from './frame.ts';
import type { Grant, ServedArtifact, ServedTransfer } from './grant.ts';
import { GRANT_RECHECK_MS, HANDSHAKE_MS_MAX } from './limits.ts';
import { answerFor, decodeOpen, type OpenRequest } from './open-request.ts';
import { ImageError, refusalOf } from './outcome.ts';
import { checkPeer, type VerifyPeer } from './peer.ts';
import type { PeerPlaces } from './peer-places.ts';
import { type RequestFrame, requestQueue } from './request-queue.ts';
import { openServedFile, type ServedFile } from './served-file.ts';
import { tokenBucket, unlimited } from './token-bucket.ts';

export interface ServeSettings {
  readonly verifyPeer: VerifyPeer;
  readonly grantOf: (migration: MigrationId) => Grant | undefined | Promise<Grant | undefined>;
  readonly places: PeerPlaces;
  readonly stallMs: number;
  readonly clock: Clock;
}

type Requests = ReturnType<typeof requestQueue>;

/** Serves one connection to its end and tells what it came to. */
export async function serveConnection(socket: TLSSocket, settings: ServeSettings): Promise<ServedTransfer> {
  const requests = requestQueue(socket);
  const seen: { peerLeaf?: Digest; open?: OpenRequest; sentBytes: number; isWithdrawn?: true } = { sentBytes: 0 };
  const tell = (outcome: ServedTransfer['outcome']): ServedTransfer => ({
    ...(seen.open === undefined ? {} : { migration: seen.open.migration, artifact: seen.open.artifact }),
    ...(seen.peerLeaf === undefined ? {} : { peerLeaf: seen.peerLeaf }),
    sentBytes: seen.sentBytes,
    outcome,
  });
  try {
    const leaf = await checkPeer(socket, settings.verifyPeer);
    seen.peerLeaf = leaf;
    const open = decodeFirst(await requests.next(HANDSHAKE_MS_MAX));
    seen.open = open;
    const { grant, artifact } = await grantFor(leaf, open, settings);
    if (!settings.places.enter(leaf)) throw new ImageError('TOO_MANY_TRANSFERS');
    const stopWatching = watchGrant(leaf, open, settings, () => {
      seen.isWithdrawn = true;
      socket.destroy();
    });
    try {
      await serveArtifact(socket, requests, grant, artifact, settings, (bytes) => {
        seen.sentBytes += bytes;
      });
    } finally {
      stopWatching();
      settings.places.leave(leaf);
    }
    return tell('complete');
  } catch (error) {
    const refusal = refusalOf(error) ?? refusalOf(new ImageError('SOURCE_FAILED', {}, error));
    const code = seen.isWithdrawn === true ? 'NOT_GRANTED' : (refusal?.code ?? 'SOURCE_FAILED');
    if (socket.writable) socket.end(encodeFrame('refused', 0, Buffer.from(answerFor(code), 'latin1')));
    return tell(code);
  } finally {
    // What is still unsent (a refusal, the last answer) gets a moment; a peer that does not read gets no more.
    setTimeout(() => socket.destroy(), HANDSHAKE_MS_MAX).unref();
    socket.end();
  }
}

function decodeFirst(frame: RequestFrame): OpenRequest {
  if (frame.head.kind !== 'open') throw new ImageError('FRAME_UNEXPECTED', { expected: 'open', got: frame.head.kind });
  return decodeOpen(frame.payload);
}

/** One code for every reason: a stranger learns nothing about which migrations, artifacts or pins exist. */
async function grantFor(
  leaf: Digest,
  open: OpenRequest,
  settings: ServeSettings,
): Promise<{ readonly grant: Grant; readonly artifact: ServedArtifact }> {
  const grant = await settings.grantOf(open.migration);
  if (grant === undefined) throw new ImageError('NOT_GRANTED', { got: 'no such migration' });
  if (grant.pinnedLeaf !== leaf) throw new ImageError('NOT_GRANTED', { expected: grant.pinnedLeaf, got: leaf });
  const artifact = grant.artifacts.find(({ sealed }) => sealed.artifact === open.artifact && sealed.root === open.root);
  if (artifact === undefined) throw new ImageError('NOT_GRANTED', { got: 'no such artifact or root' });
  return { grant, artifact };
}

/** A grant is leave to go on, not only to begin: a share that ended, or a peer that was revoked, ends its open connections. */
function watchGrant(leaf: Digest, { migration }: OpenRequest, { grantOf }: ServeSettings, withdrawn: () => void): () => void {
  const look = async (): Promise<void> => {
    if ((await grantOf(migration))?.pinnedLeaf !== leaf) withdrawn();
  };
  const timer = setInterval(() => void look().catch(withdrawn), GRANT_RECHECK_MS);
  timer.unref();
  return () => clearInterval(timer);
}

async function serveArtifact(
  socket: TLSSocket,
  requests: Requests,
  grant: Grant,
  artifact: ServedArtifact,
  settings: ServeSettings,
  onSent: (bytes: number) => void,
): Promise<void> {
  const bucket = grant.rateBytesPerSecond === undefined ? unlimited : tokenBucket(grant.rateBytesPerSecond, settings.clock);
  const file: ServedFile = await openServedFile(artifact, socket, {
    stallMs: settings.stallMs,
    onSent,
    pause: async (bytes) => {
      const ms = bucket.spend(bytes);
      if (ms > 0) await settings.clock.sleep(ms);
    },
  });
  try {
    socket.write(encodeFrame('accepted', 0));
    for (;;) {
      const { head, payload } = await requests.next(settings.stallMs);
      if (head.kind === 'want') await file.sendChunks(head.index, payload);
      else if (head.kind === 'ask-digests') await file.sendDigests();
      else if (head.kind === 'bye') break;
      else throw new ImageError('FRAME_UNEXPECTED', { got: head.kind });
    }
    await file.demandUnchanged();
    socket.write(encodeFrame('bye', 0));
  } finally {
    await file.close();
  }
}
