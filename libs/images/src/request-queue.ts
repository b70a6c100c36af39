import type { TLSSocket } from 'node:tls';
import { decodeHead, FRAME_HEAD_BYTES, type FrameHead } from './frame.ts';
import { WANTS_QUEUED_MAX } from './limits.ts';
import { ImageError } from './outcome.ts';

export interface RequestFrame {
  readonly head: FrameHead;
  readonly payload: Buffer;
}

/**
 * A receiver's frames, one by one. They are small and few: what is held is bounded by one frame and WANTS_QUEUED_MAX of
 * them, and one more ends the connection.
 */
export function requestQueue(socket: TLSSocket): { next(withinMs: number): Promise<RequestFrame> } {
  const frames: RequestFrame[] = [];
  let rest: Buffer = Buffer.alloc(0);
  let failure: ImageError | undefined;
  let wake: () => void = () => undefined;

  const fail = (error: ImageError): void => {
    failure ??= error;
    wake();
  };
  const cut = (): void => {
    while (rest.length >= FRAME_HEAD_BYTES) {
      const head = decodeHead(rest, 'receiver');
      if (rest.length < FRAME_HEAD_BYTES + head.length) return;
      if (frames.length >= WANTS_QUEUED_MAX) throw new ImageError('WANT_FLOOD');
      frames.push({ head, payload: Buffer.from(rest.subarray(FRAME_HEAD_BYTES, FRAME_HEAD_BYTES + head.length)) });
      rest = rest.subarray(FRAME_HEAD_BYTES + head.length);
    }
  };
  socket.on('data', (bytes: Buffer) => {
    if (failure !== undefined) return;
    rest = rest.length === 0 ? bytes : Buffer.concat([rest, bytes]);
    try {
      cut();
    } catch (error) {
      fail(error instanceof ImageError ? error : new ImageError('FRAME_MALFORMED', {}, error));
    }
    wake();
  });
  socket.on('error', (error) => fail(new ImageError('LINK_LOST', { got: error.message }, error)));
  socket.on('close', () => fail(new ImageError('LINK_LOST')));

  return {
    async next(withinMs) {
      const deadline = setTimeout(() => fail(new ImageError('LINK_STALLED')), withinMs);
      try {
        for (;;) {
          if (failure !== undefined) throw failure;
          const frame = frames.shift();
          if (frame !== undefined) return frame;
          await new Promise<void>((resolve) => {
            wake = resolve;
          });
        }
      } finally {
        clearTimeout(deadline);
      }
    },
  };
}
