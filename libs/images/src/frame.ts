import { MANIFEST_FRAME_BYTES_MAX, OPEN_BYTES_MAX, REFUSED_BYTES_MAX } from './limits.ts';
import { ImageError } from './outcome.ts';

/**
 * Frames of the direct carrier: a 12-byte head, then the payload.
 *   kind u8 | zero u8 | index u48 | length u32      (big endian)
 * Receiver → source: `open` (JSON), `digests?` (no payload), `want` (index: first chunk, payload: count u32), `bye`.
 * Source → receiver: `accepted`, `refused` (a code), `digests` (index: first), `chunk` (index), `bye`.
 */
export type FrameKind = 'open' | 'ask-digests' | 'want' | 'bye' | 'accepted' | 'refused' | 'digests' | 'chunk';

export const FRAME_HEAD_BYTES = 12;

interface FrameRule {
  readonly code: number;
  readonly from: 'receiver' | 'source' | 'both';
  readonly bytesMax: number;
}

const RULES: Readonly<Record<FrameKind, FrameRule>> = {
  open: { code: 1, from: 'receiver', bytesMax: OPEN_BYTES_MAX },
  'ask-digests': { code: 2, from: 'receiver', bytesMax: 0 },
  want: { code: 3, from: 'receiver', bytesMax: 4 },
  bye: { code: 4, from: 'both', bytesMax: 0 },
  accepted: { code: 17, from: 'source', bytesMax: 0 },
  refused: { code: 18, from: 'source', bytesMax: REFUSED_BYTES_MAX },
  digests: { code: 19, from: 'source', bytesMax: MANIFEST_FRAME_BYTES_MAX },
  // Bounded by the artifact's own chunk size, which the receiver compares before it takes a buffer.
  chunk: { code: 20, from: 'source', bytesMax: Number.POSITIVE_INFINITY },
};

const KINDS = new Map<number, FrameKind>([
  [1, 'open'],
  [2, 'ask-digests'],
  [3, 'want'],
  [4, 'bye'],
  [17, 'accepted'],
  [18, 'refused'],
  [19, 'digests'],
  [20, 'chunk'],
]);

export interface FrameHead {
  readonly kind: FrameKind;
  readonly index: number;
  readonly length: number;
}

/** Writes a head over the first bytes of a buffer. */
export function writeHead(into: Buffer, kind: FrameKind, index: number, length: number): void {
  into.writeUInt8(RULES[kind].code, 0);
  into.writeUInt8(0, 1);
  into.writeUIntBE(index, 2, 6);
  into.writeUInt32BE(length, 8);
}

export function encodeHead(kind: FrameKind, index: number, length: number): Buffer {
  const head = Buffer.alloc(FRAME_HEAD_BYTES);
  writeHead(head, kind, index, length);
  return head;
}

export const encodeFrame = (kind: FrameKind, index: number, payload: Uint8Array = new Uint8Array()): Buffer =>
  Buffer.concat([encodeHead(kind, index, payload.length), payload]);

export function encodeWant(first: number, count: number): Buffer {
  const payload = Buffer.alloc(4);
  payload.writeUInt32BE(count);
  return encodeFrame('want', first, payload);
}

/** Reads a head that the other side sent. Unknown kinds, kinds of the wrong direction and oversized frames are refused here. */
export function decodeHead(bytes: Buffer, from: 'receiver' | 'source'): FrameHead {
  const kind = KINDS.get(bytes.readUInt8(0));
  if (kind === undefined || bytes.readUInt8(1) !== 0)
    throw new ImageError('FRAME_MALFORMED', { got: bytes.subarray(0, 2).toString('hex') });
  const rule = RULES[kind];
  if (rule.from !== from && rule.from !== 'both') throw new ImageError('FRAME_UNEXPECTED', { got: kind });
  const length = bytes.readUInt32BE(8);
  if (length > rule.bytesMax)
    throw new ImageError('FRAME_OVERSIZED', { expected: `at most ${rule.bytesMax}`, got: String(length) });
  return { kind, index: bytes.readUIntBE(2, 6), length };
}
