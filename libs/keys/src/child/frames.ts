import { FRAME_BYTES_MAX } from '../limits.ts';
import { KeysError } from '../result.ts';

/** One message on the pipe: a JSON header without secrets, and at most one secret (root key or passphrase) as raw bytes behind it. */
export type Frame = { readonly header: unknown; readonly secret: Buffer };

const PREFIX_BYTES = 8;

/** Wire form: total length, header length (32 bits each, big endian), header (UTF-8 JSON), secret. The caller zeroes what it gets. */
export function encodeFrame(header: unknown, secret: Uint8Array): Buffer {
  const text = Buffer.from(JSON.stringify(header), 'utf8');
  const total = text.length + secret.length;
  if (total > FRAME_BYTES_MAX)
    throw new KeysError('CHILD_PROTOCOL', `frame of ${total} bytes, at most ${FRAME_BYTES_MAX}`, { retryable: false });
  const frame = Buffer.alloc(PREFIX_BYTES + total);
  frame.writeUInt32BE(total, 0);
  frame.writeUInt32BE(text.length, 4);
  frame.set(text, PREFIX_BYTES);
  frame.set(secret, PREFIX_BYTES + text.length);
  return frame;
}

/** Frames of a byte stream, in order. Zeroes the chunks it has used; an unfinished frame at the end is refused. */
export async function* readFrames(stream: AsyncIterable<Uint8Array>): AsyncGenerator<Frame, void> {
  let held: Buffer = Buffer.alloc(0);
  for await (const chunk of stream) {
    const joined = Buffer.alloc(held.length + chunk.length);
    joined.set(held);
    joined.set(chunk, held.length);
    held.fill(0);
    chunk.fill(0);
    held = joined;
    for (let frame = takeFrame(held); frame !== undefined; frame = takeFrame(held)) {
      const rest = Buffer.alloc(held.length - frame.bytes);
      rest.set(held.subarray(frame.bytes));
      held.fill(0);
      held = rest;
      yield frame.frame;
    }
  }
  if (held.length > 0) throw new KeysError('CHILD_PROTOCOL', 'the stream ended inside a frame', { retryable: true });
}

/** Copies one whole frame out of `held`, or `undefined` when more bytes must come. */
function takeFrame(held: Buffer): { readonly frame: Frame; readonly bytes: number } | undefined {
  if (held.length < PREFIX_BYTES) return undefined;
  const total = held.readUInt32BE(0);
  const headerBytes = held.readUInt32BE(4);
  if (total > FRAME_BYTES_MAX || headerBytes > total)
    throw new KeysError('CHILD_PROTOCOL', 'frame lengths out of bounds', { retryable: false });
  const bytes = PREFIX_BYTES + total;
  if (held.length < bytes) return undefined;
  const secret = Buffer.alloc(total - headerBytes);
  secret.set(held.subarray(PREFIX_BYTES + headerBytes, bytes));
  const header = parseHeader(held.subarray(PREFIX_BYTES, PREFIX_BYTES + headerBytes).toString('utf8'));
  return { frame: { header, secret }, bytes };
}

/** V8's own error would quote the text. */
function parseHeader(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    throw new KeysError('CHILD_PROTOCOL', 'a header is not JSON', { retryable: false });
  }
}
