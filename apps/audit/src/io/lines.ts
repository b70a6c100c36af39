import { createReadStream } from 'node:fs';
import { EXPORT_LINE_BYTES_MAX } from '@carnet/events';
import { AuditError, EXIT } from '../exit.ts';

/** A line and where it lies in its file, in bytes; `end` is after its newline. */
export type FileLine = { readonly text: string; readonly start: number; readonly end: number };

const NEWLINE = 0x0a;

/** Lines of a file, or of the bytes from `start` up to `end`. One line and one block are held at a time. */
export async function* fileLines(
  path: string,
  range: { readonly start: number; readonly end?: number } = { start: 0 },
): AsyncGenerator<FileLine> {
  if (range.end === range.start) return;
  // `end` of a read stream is inclusive.
  const stream = createReadStream(path, {
    start: range.start,
    ...(range.end === undefined ? {} : { end: range.end - 1 }),
    highWaterMark: 262_144,
  });
  let rest: Buffer = Buffer.alloc(0);
  let start = range.start;
  try {
    for await (const part of stream as AsyncIterable<Buffer>) {
      const block = rest.length === 0 ? part : Buffer.concat([rest, part]);
      let from = 0;
      for (let at = block.indexOf(NEWLINE); at >= 0; at = block.indexOf(NEWLINE, from)) {
        yield { text: block.toString('utf8', from, at), start: start + from, end: start + at + 1 };
        from = at + 1;
      }
      rest = block.subarray(from);
      start += from;
      if (rest.length > EXPORT_LINE_BYTES_MAX)
        throw new AuditError(
          'EXPORT_MALFORMED',
          EXIT.verificationFailed,
          `${path}: a line exceeds ${EXPORT_LINE_BYTES_MAX} bytes`,
        );
    }
  } catch (cause) {
    if (cause instanceof AuditError) throw cause;
    throw new AuditError(
      'FILE_UNREADABLE',
      EXIT.failed,
      `${path}: ${cause instanceof Error ? cause.message : String(cause)}`,
      cause,
    );
  }
  if (rest.length > 0) yield { text: rest.toString('utf8'), start, end: start + rest.length };
}
