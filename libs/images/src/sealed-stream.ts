import { createCipheriv, createDecipheriv, hkdfSync } from 'node:crypto';
import { SEGMENT_BYTES, SEGMENTS_MAX } from './limits.ts';
import { ImageError } from './outcome.ts';

/**
 * STREAM (Hoang, Reyhanitabar, Rogaway, Vizár: "Online Authenticated-Encryption and its Nonce-Reuse Misuse-Resistance",
 * CRYPTO 2015) over AES-256-GCM. The stream is cut into segments; each is sealed under
 *   nonce = prefix (7 bytes) ‖ segment number (u32) ‖ 1 for the last segment, else 0
 * so that a segment that is moved, dropped, doubled or appended fails, and so does an end that is none.
 *
 * File: "CARNETS1" ‖ segment bytes (u32) ‖ salt (32), then segments with their 16-byte tags. Key and prefix come from
 * HKDF-SHA256(key, salt, "carnet/stream/v1" ‖ head ‖ context): a fresh salt gives every stream keys of its own, and the
 * head and the context (which VM, epoch, artifact) are bound without being sent.
 */
const MAGIC = 'CARNETS1';
const SALT_BYTES = 32;
const HEAD_BYTES = MAGIC.length + 4 + SALT_BYTES;
const TAG_BYTES = 16;
const KEY_BYTES = 32;
const PREFIX_BYTES = 7;

export interface StreamKey {
  /** 32 bytes; stays the caller's, who zeroes it. */
  readonly key: Buffer;
  /** What the stream is bound to; the opener must give the same bytes. */
  readonly context: Uint8Array;
}

interface SegmentKeys {
  readonly key: Buffer;
  readonly nonce: (segment: number, last: 0 | 1) => Buffer;
}

function segmentKeys({ key, context }: StreamKey, head: Buffer): SegmentKeys {
  if (key.length !== KEY_BYTES) throw new ImageError('KEY_LENGTH', { expected: String(KEY_BYTES), got: String(key.length) });
  const salt = head.subarray(HEAD_BYTES - SALT_BYTES);
  const info = Buffer.concat([Buffer.from('carnet/stream/v1'), head.subarray(0, HEAD_BYTES - SALT_BYTES), context]);
  // HKDF's info is bounded by node:crypto (1,024 bytes); a context is a few names.
  const derived = Buffer.from(hkdfSync('sha256', key, salt, info, KEY_BYTES + PREFIX_BYTES));
  const prefix = derived.subarray(KEY_BYTES);
  return {
    key: derived.subarray(0, KEY_BYTES),
    nonce(segment, last) {
      if (segment > SEGMENTS_MAX) throw new ImageError('STREAM_TOO_LONG');
      const nonce = Buffer.alloc(12);
      prefix.copy(nonce);
      nonce.writeUInt32BE(segment, PREFIX_BYTES);
      nonce.writeUInt8(last, PREFIX_BYTES + 4);
      return nonce;
    },
  };
}

interface Piece {
  readonly bytes: Buffer;
  readonly last: 0 | 1;
}

/** Cuts a stream into pieces of one size; a piece is held back until it is known whether another follows. */
async function* pieces(source: AsyncIterable<Uint8Array>, sizeBytes: number): AsyncGenerator<Piece> {
  const held = Buffer.alloc(sizeBytes);
  let filled = 0;
  try {
    for await (const block of source) {
      for (let at = 0; at < block.length; ) {
        if (filled === sizeBytes) {
          yield { bytes: held, last: 0 };
          filled = 0;
        }
        const part = block.subarray(at, at + sizeBytes - filled);
        held.set(part, filled);
        filled += part.length;
        at += part.length;
      }
    }
    yield { bytes: held.subarray(0, filled), last: 1 };
  } finally {
    held.fill(0); // plaintext when sealing; JavaScript cannot promise that no copy is left
  }
}

/** Seals a stream of any length in bounded memory. `random` gives the salt; never reuse one. */
export async function* sealStream(
  source: AsyncIterable<Uint8Array>,
  seal: StreamKey & { readonly random: (bytes: number) => Uint8Array },
): AsyncGenerator<Buffer> {
  const head = Buffer.alloc(HEAD_BYTES);
  head.write(MAGIC, 'latin1');
  head.writeUInt32BE(SEGMENT_BYTES, MAGIC.length);
  head.set(seal.random(SALT_BYTES), HEAD_BYTES - SALT_BYTES);
  const keys = segmentKeys(seal, head);
  try {
    yield head;
    let segment = 0;
    for await (const { bytes, last } of pieces(source, SEGMENT_BYTES)) {
      const cipher = createCipheriv('aes-256-gcm', keys.key, keys.nonce(segment, last));
      const sealed = cipher.update(bytes);
      cipher.final();
      yield sealed;
      yield cipher.getAuthTag();
      segment++;
    }
  } finally {
    keys.key.fill(0);
  }
}

/**
 * Opens a sealed stream. Each segment is authentic before it is given out, but only the end says that nothing is missing:
 * a consumer must undo what it did when this throws (`STREAM_NOT_AUTHENTIC`, `STREAM_MALFORMED`).
 */
export async function* openStream(source: AsyncIterable<Uint8Array>, open: StreamKey): AsyncGenerator<Buffer> {
  const { head, rest } = await takeHead(source);
  const keys = segmentKeys(open, head);
  try {
    let segment = 0;
    for await (const { bytes, last } of pieces(rest, SEGMENT_BYTES + TAG_BYTES)) {
      const text = bytes.subarray(0, -TAG_BYTES);
      if (bytes.length < TAG_BYTES || (text.length === 0 && segment > 0))
        throw new ImageError('STREAM_NOT_AUTHENTIC', { got: `segment ${segment}` });
      yield openSegment(keys, segment, last, text, bytes.subarray(-TAG_BYTES));
      segment++;
    }
  } finally {
    keys.key.fill(0);
  }
}

function openSegment(keys: SegmentKeys, segment: number, last: 0 | 1, text: Buffer, tag: Buffer): Buffer {
  const decipher = createDecipheriv('aes-256-gcm', keys.key, keys.nonce(segment, last), { authTagLength: TAG_BYTES });
  decipher.setAuthTag(tag);
  const plain = decipher.update(text);
  try {
    decipher.final();
  } catch (cause) {
    plain.fill(0);
    throw new ImageError('STREAM_NOT_AUTHENTIC', { got: `segment ${segment}` }, cause);
  }
  return plain;
}

async function takeHead(
  source: AsyncIterable<Uint8Array>,
): Promise<{ readonly head: Buffer; readonly rest: AsyncGenerator<Uint8Array> }> {
  const blocks = source[Symbol.asyncIterator]();
  let start: Buffer = Buffer.alloc(0);
  while (start.length < HEAD_BYTES) {
    const { value, done } = await blocks.next();
    if (done === true) throw new ImageError('STREAM_MALFORMED', { expected: `${HEAD_BYTES} bytes`, got: String(start.length) });
    start = Buffer.concat([start, value]);
  }
  const head = Buffer.from(start.subarray(0, HEAD_BYTES));
  const ours = head.toString('latin1', 0, MAGIC.length) === MAGIC && head.readUInt32BE(MAGIC.length) === SEGMENT_BYTES;
  if (!ours) throw new ImageError('STREAM_MALFORMED', { expected: MAGIC });
  return { head, rest: following(start.subarray(HEAD_BYTES), blocks) };
}

async function* following(first: Uint8Array, blocks: AsyncIterator<Uint8Array>): AsyncGenerator<Uint8Array> {
  yield first;
  for (let next = await blocks.next(); next.done !== true; next = await blocks.next()) yield next.value;
}
