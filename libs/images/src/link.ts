import { type ConnectionOptions, checkServerIdentity, connect, type TLSSocket } from 'node:tls';
import type { DataPath, Digest } from '@carnet/events';
import { decodeHead, FRAME_HEAD_BYTES, type FrameHead } from './frame.ts';
import { HANDSHAKE_MS_MAX } from './limits.ts';
import { ImageError, refusalOf } from './outcome.ts';
import { checkPeer, pinnedServerName, TLS_RULES, type VerifyPeer } from './peer.ts';
import { stallTimer } from './stall-timer.ts';

/** Takes the frames of one phase. Either function refuses by throwing an ImageError; what a file system says passes as it is. */
export interface FrameSink {
  /** Where this frame's payload goes: exactly `head.length` bytes. */
  begin(head: FrameHead): Uint8Array;
  complete(head: FrameHead, payload: Uint8Array): void;
}

/** The receiver's end of a connection: it dials, since only a TLS client lets us give the buffers that Node reads into. */
export interface Link {
  /** Frames go to this sink from now on, and the peer owes one. */
  use(sink: FrameSink): void;
  send(frame: Buffer): void;
  /** Reading stops after at most PAUSE_OVERRUN_BYTES more. */
  pause(): void;
  resume(): void;
  /** The peer owes nothing for now. */
  rest(): void;
  /** Rejects when the connection ends, stalls or breaks the protocol. */
  readonly lost: Promise<never>;
  close(): void;
}

export interface LinkTarget {
  readonly endpoint: DataPath;
  /** Key, certificate chain and trust roots as `node:tls` takes them. TLS_RULES override what would loosen them. */
  readonly tls: ConnectionOptions;
  readonly verifyPeer: VerifyPeer;
  /** SHA-256 of the DER of the leaf that the agreement pins. */
  readonly pinnedLeaf: Digest;
  readonly stallMs: number;
  readonly signal?: AbortSignal;
}

const nothingAskedFor: FrameSink = {
  begin(head) {
    throw new ImageError('FRAME_UNEXPECTED', { got: head.kind });
  },
  complete: () => undefined,
};

/** Cuts the byte stream into frames; payloads are read straight into the sink's buffers. */
function frameCutter(sinkNow: () => FrameSink): {
  readonly view: () => Uint8Array;
  readonly advance: (bytes: number) => boolean;
} {
  const headBytes = Buffer.alloc(FRAME_HEAD_BYTES);
  let head: FrameHead | undefined;
  let target: Uint8Array = headBytes;
  let filled = 0;
  return {
    view: () => target.subarray(filled),
    advance(bytes) {
      filled += bytes;
      if (filled < target.length) return false;
      filled = 0;
      if (head === undefined) {
        head = decodeHead(headBytes, 'source');
        target = sinkNow().begin(head);
        if (target.length > 0) return false;
      }
      const complete = head;
      const payload = target;
      head = undefined;
      target = headBytes;
      sinkNow().complete(complete, payload);
      return true;
    },
  };
}

/** Dials, checks the peer, and returns once nothing is left to doubt about whom we speak to. */
export async function openLink(to: LinkTarget): Promise<Link> {
  const lost = Promise.withResolvers<never>();
  lost.promise.catch(() => undefined); // also awaited by phases; alone it must not be an unhandled rejection
  let sink = nothingAskedFor;
  let paused = false;
  const cutter = frameCutter(() => sink);

  const fail = (error: unknown): void => {
    lost.reject(error);
    stall.stop();
    socket.destroy();
  };
  const stall = stallTimer(to.stallMs, fail);
  const onread = {
    buffer: () => cutter.view(),
    callback(bytes: number): boolean {
      try {
        if (cutter.advance(bytes)) stall.turn();
      } catch (error) {
        // A sink writes to our own disk as well: a full one is told as such, and not taken for a link that a new dial would mend.
        fail(refusalOf(error) === undefined ? new ImageError('LINK_LOST', {}, error) : error);
        return false;
      }
      return !paused;
    },
  };
  const { address: host, port, serverName } = to.endpoint;
  const options: ConnectionOptions & { readonly onread: typeof onread } = {
    ...to.tls,
    ...TLS_RULES,
    host,
    port,
    servername: pinnedServerName(to.pinnedLeaf, serverName),
    // The certificate carries the name without the pin.
    checkServerIdentity: (_, certificate) => checkServerIdentity(serverName, certificate),
    onread,
  };
  const socket = connect(options);
  socket.on('error', (error) => fail(socketError(error)));
  socket.on('close', () => fail(new ImageError('LINK_LOST')));
  const onAbort = (): void => fail(new ImageError('ABORTED'));
  to.signal?.addEventListener('abort', onAbort, { once: true });
  socket.once('close', () => to.signal?.removeEventListener('abort', onAbort));
  if (to.signal?.aborted) onAbort();

  await Promise.race([greet(socket, to), lost.promise]).catch((error: unknown) => {
    socket.destroy();
    throw error;
  });
  return {
    use(next) {
      sink = next;
      if (!paused) stall.restart();
    },
    send: (frame) => void socket.write(frame),
    pause() {
      paused = true;
      stall.stop();
    },
    resume() {
      paused = false;
      if (socket.destroyed) return;
      stall.restart();
      socket.resume();
    },
    rest: () => stall.stop(),
    lost: lost.promise,
    close() {
      stall.stop();
      sink = nothingAskedFor;
      socket.destroy();
    },
  };
}

async function greet(socket: TLSSocket, to: LinkTarget): Promise<void> {
  const secure = Promise.withResolvers<void>();
  socket.once('secureConnect', secure.resolve);
  socket.once('close', () => secure.reject(new ImageError('LINK_LOST')));
  const timer = setTimeout(
    () => secure.reject(new ImageError('LINK_REFUSED', { expected: `a TLS session within ${HANDSHAKE_MS_MAX} ms` })),
    HANDSHAKE_MS_MAX,
  );
  try {
    await secure.promise;
  } finally {
    clearTimeout(timer);
  }
  const leaf = await checkPeer(socket, to.verifyPeer);
  if (leaf !== to.pinnedLeaf) throw new ImageError('PEER_NOT_PINNED', { expected: to.pinnedLeaf, got: leaf });
  socket.setNoDelay(true);
}

const UNREACHABLE = new Set(['ECONNREFUSED', 'EHOSTUNREACH', 'ENETUNREACH', 'ENOTFOUND', 'EAI_AGAIN']);
const LOST = new Set(['ETIMEDOUT', 'ECONNRESET', 'EPIPE']);

/** What cannot be reached or breaks off may work later; everything else that a TLS socket reports is a doubt about identity. */
function socketError(error: Error): ImageError {
  const errno = 'code' in error ? String(error.code) : 'TLS';
  const code = UNREACHABLE.has(errno) ? 'LINK_REFUSED' : LOST.has(errno) ? 'LINK_LOST' : 'TLS_NOT_TRUSTED';
  return new ImageError(code, { got: errno }, error);
}
