import { writeSync } from 'node:fs';
import { writeFully, writeWhole } from './files.ts';
import { encodeFrame, type FrameHead } from './frame.ts';
import { chunkCount } from './grid.ts';
import { DIGEST_BYTES, MANIFEST_FRAME_BYTES_MAX, REFUSED_BYTES_MAX } from './limits.ts';
import type { FrameSink, Link } from './link.ts';
import { type ManifestContext, manifestHead } from './manifest.ts';
import { decodeRefused, encodeOpen, type OpenRequest } from './open-request.ts';
import { ImageError } from './outcome.ts';

/** A sink that also understands `refused`, which may come instead of any frame. */
export function refusable(sink: FrameSink): FrameSink {
  const refusal = Buffer.alloc(REFUSED_BYTES_MAX);
  return {
    begin: (head) => (head.kind === 'refused' ? refusal.subarray(0, head.length) : sink.begin(head)),
    complete(head, payload) {
      if (head.kind === 'refused') throw decodeRefused(Buffer.from(payload));
      sink.complete(head, payload);
    },
  };
}

const NO_PAYLOAD = new Uint8Array();

/** Sends a frame and waits for the empty frame that answers it. */
async function exchange(
  link: Link,
  frame: Buffer,
  answer: FrameHead['kind'],
  refuse: (head: FrameHead) => ImageError,
): Promise<void> {
  const answered = Promise.withResolvers<void>();
  let owed = true;
  link.use(
    refusable({
      begin(head) {
        if (head.kind !== answer || !owed) throw refuse(head);
        return NO_PAYLOAD;
      },
      complete() {
        owed = false;
        link.rest();
        answered.resolve();
      },
    }),
  );
  link.send(frame);
  await Promise.race([answered.promise, link.lost]);
}

export const openArtifact = (link: Link, request: OpenRequest): Promise<void> =>
  exchange(
    link,
    encodeFrame('open', 0, encodeOpen(request)),
    'accepted',
    (head) => new ImageError('FRAME_UNEXPECTED', { got: head.kind }),
  );

/** Ends the transfer. Whatever the source sent too much comes before its answer, and is refused here. */
export const sayBye = (link: Link): Promise<void> =>
  exchange(
    link,
    encodeFrame('bye', 0),
    'bye',
    (head) => new ImageError(head.kind === 'chunk' ? 'CHUNK_EXTRA' : 'FRAME_UNEXPECTED', { got: head.kind }),
  );

/**
 * Fetches the digests into a manifest file. Nothing in it counts before `openManifest` has led it to the signed root; its
 * length follows from our own expectation, never from the peer.
 */
export async function fetchManifest(link: Link, path: string, context: ManifestContext): Promise<void> {
  const chunks = chunkCount(context);
  const head = manifestHead(context);
  const payload = Buffer.alloc(MANIFEST_FRAME_BYTES_MAX);
  const complete = Promise.withResolvers<void>();
  await writeWhole(path, async (file) => {
    await writeFully(file, head, 0);
    let next = 0;
    link.use(
      refusable({
        begin(frame) {
          if (frame.kind !== 'digests' || frame.index !== next || next === chunks)
            throw new ImageError('FRAME_UNEXPECTED', { expected: `digests from ${next}`, got: `${frame.kind} ${frame.index}` });
          const count = frame.length / DIGEST_BYTES;
          if (!Number.isInteger(count) || count < 1 || count > chunks - next)
            throw new ImageError('FRAME_OVERSIZED', { got: String(frame.length) });
          return payload.subarray(0, frame.length);
        },
        complete(frame, bytes) {
          // Synchronous: 64 KiB into the page cache, once per 2,048 chunks, before the buffer is filled again.
          for (let at = 0; at < bytes.length; )
            at += writeSync(file.fd, bytes, at, bytes.length - at, head.length + next * DIGEST_BYTES + at);
          next += frame.length / DIGEST_BYTES;
          if (next === chunks) complete.resolve();
        },
      }),
    );
    link.send(encodeFrame('ask-digests', 0));
    await Promise.race([complete.promise, link.lost]);
  });
}
