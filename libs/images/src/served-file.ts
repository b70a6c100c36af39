import type { TLSSocket } from 'node:tls';
import { alignedBuffers } from './buffer-pool.ts';
import { openForReading, readFully } from './files.ts';
import { encodeFrame, FRAME_HEAD_BYTES, writeHead } from './frame.ts';
import type { ServedArtifact } from './grant.ts';
import { chunkLength, chunkOffset } from './grid.ts';
import {
  DIGEST_BYTES,
  DIRECT_ALIGN_BYTES,
  MANIFEST_FRAME_BYTES_MAX,
  SEND_BUFFERS,
  SIZE_CHECK_BYTES,
  WANT_CHUNKS_MAX,
} from './limits.ts';
import { contextOf, type Manifest, openManifest } from './manifest.ts';
import { ImageError } from './outcome.ts';

export interface SendRules {
  readonly stallMs: number;
  readonly onSent: (bytes: number) => void;
  /** Waits as long as the rate limit says after so many bytes. */
  readonly pause: (bytes: number) => Promise<void>;
}

export interface ServedFile {
  sendDigests(): Promise<void>;
  /** Sends the chunks of a WANT that are no holes, in order. */
  sendChunks(first: number, payload: Buffer): Promise<void>;
  demandUnchanged(): Promise<void>;
  close(): Promise<void>;
}

/**
 * An artifact while it is served: opened once, read-only; its manifest must lead to the signed root. The receiver compares
 * every chunk, so a changed byte is caught there; a changed length or time of change is caught here already.
 */
export async function openServedFile(artifact: ServedArtifact, socket: TLSSocket, rules: SendRules): Promise<ServedFile> {
  const context = contextOf(artifact.sealed, artifact.of);
  const manifest = await openManifest(artifact.manifest, context, artifact.sealed.root);
  const handle = await openForReading(artifact.file).catch(async (error: unknown) => {
    await manifest.close();
    throw error;
  });
  const before = await handle.stat({ bigint: true });
  const demandUnchanged = async (): Promise<void> => {
    const { size, mtimeNs } = await handle.stat({ bigint: true });
    if (Number(size) !== context.sizeBytes || mtimeNs !== before.mtimeNs)
      throw new ImageError('SOURCE_CHANGED', { expected: `${context.sizeBytes} bytes`, got: `${size} bytes` });
  };
  // Each has a frame's head just before the chunk: one piece of memory is encrypted where it lies, two would be copied together.
  const free = [...alignedBuffers(SEND_BUFFERS, DIRECT_ALIGN_BYTES + context.chunkBytes)];
  const sender = socketSender(socket, rules.stallMs);
  let sinceLook = 0;

  const sendChunk = async (index: number): Promise<void> => {
    let buffer = free.pop();
    while (buffer === undefined) {
      await sender.oneSent();
      buffer = free.pop();
    }
    const used = buffer;
    const frame = used.subarray(DIRECT_ALIGN_BYTES - FRAME_HEAD_BYTES, DIRECT_ALIGN_BYTES + chunkLength(context, index));
    const chunk = frame.subarray(FRAME_HEAD_BYTES);
    await readFully(handle, chunk, chunkOffset(context, index), 'SOURCE_CHANGED');
    writeHead(frame, 'chunk', index, chunk.length);
    sender.send(frame, () => free.push(used));
    rules.onSent(chunk.length);
    await rules.pause(chunk.length);
    sinceLook += chunk.length;
    if (sinceLook < SIZE_CHECK_BYTES) return;
    sinceLook = 0;
    await demandUnchanged();
  };

  await demandUnchanged().catch(async (error: unknown) => {
    await Promise.all([manifest.close(), handle.close()]);
    throw error;
  });
  return {
    demandUnchanged,
    sendDigests: () => sendDigests(manifest, sender),
    async sendChunks(first, payload) {
      const count = payload.length === 4 ? payload.readUInt32BE() : 0;
      if (count < 1 || count > WANT_CHUNKS_MAX || first + count > manifest.chunks)
        throw new ImageError('WANT_INVALID', { got: `${count} from ${first} of ${manifest.chunks}` });
      for (let index = first; index < first + count; index++) if (!manifest.isHole(index)) await sendChunk(index);
    },
    async close() {
      await Promise.all([manifest.close(), handle.close()]);
    },
  };
}

async function sendDigests(manifest: Manifest, sender: SocketSender): Promise<void> {
  const perFrame = MANIFEST_FRAME_BYTES_MAX / DIGEST_BYTES;
  for (let first = 0; first < manifest.chunks; first += perFrame) {
    const count = Math.min(perFrame, manifest.chunks - first);
    const payload = Buffer.alloc(count * DIGEST_BYTES);
    for (let at = 0; at < count; at++) manifest.digestAt(first + at).copy(payload, at * DIGEST_BYTES);
    sender.send(encodeFrame('digests', first, payload), () => undefined);
    while (!sender.idle()) await sender.oneSent();
  }
}

interface SocketSender {
  /** Queues a frame; `sent` when the socket has no more use for its memory. */
  send(frame: Buffer, sent: () => void): void;
  /** The next completion of any send; refused when the receiver takes nothing for too long, or is gone. */
  oneSent(): Promise<void>;
  idle(): boolean;
}

/** Writes to a socket and waits for it by completions: what is queued never exceeds the caller's own buffers. */
function socketSender(socket: TLSSocket, stallMs: number): SocketSender {
  let queued = 0;
  let failure: ImageError | undefined;
  let wake: () => void = () => undefined;
  const fail = (error: ImageError): void => {
    failure ??= error;
    wake();
  };
  socket.once('close', () => fail(new ImageError('LINK_LOST')));
  return {
    idle: () => queued === 0,
    send(frame, sent) {
      queued++;
      socket.write(frame, (error) => {
        queued--;
        sent();
        if (error) fail(new ImageError('LINK_LOST', { got: error.message }, error));
        else wake();
      });
    },
    async oneSent() {
      if (failure !== undefined) throw failure;
      const timer = setTimeout(() => fail(new ImageError('LINK_STALLED')), stallMs);
      await new Promise<void>((resolve) => {
        wake = resolve;
      });
      clearTimeout(timer);
      if (failure !== undefined) throw failure;
    },
  };
}
