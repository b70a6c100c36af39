import { digest as digestSchema, type HeadPosition, headPosition, PAYLOAD_TYPES } from '@carnet/events';
import { positionOf, seqOf } from '@carnet/trust';
import type { Kept, KeptEvent } from './head-file.ts';
import { peek } from './peek.ts';

/**
 * The text of a head file, a line each, in any order but for the first:
 *   {"seq":"7","digest":"…"}   all up to here may have been told; the furthest counts. `null`: nothing. First line, and again as it goes on
 *   {"held":"…"}               of earlier versions, which could keep an event from being told: it says nothing any more
 *   {"payloadType":"…          an event, in the very bytes of its envelope: they have one spelling, without a line break
 * A file of one mark without a line break is what earlier versions wrote; they refuse what they would not understand.
 */
const EVENT_OPENING = `{"payloadType":"${PAYLOAD_TYPES.event}"`;
const LINE_BREAK = 0x0a;

export const markLine = (told: HeadPosition): Uint8Array => Buffer.from(`${JSON.stringify(told)}\n`);

export const eventLine = ({ envelope }: KeptEvent): Uint8Array => Buffer.concat([envelope, Buffer.of(LINE_BREAK)]);

export type Lines = Kept & {
  /** It may be appended to as it is: it ends with a whole line. */
  readonly whole: boolean;
  /** How many lines say how far. */
  readonly marks: number;
};

/** What one or several files of one ledger say together; `undefined`: they are damaged, or contradict each other. */
export function readLines(files: readonly Uint8Array[]): Lines | undefined {
  const read: Reading = { marks: [null], events: new Map() };
  let whole = true;
  for (const bytes of files) {
    const { lines, isWhole } = linesIn(bytes);
    whole &&= isWhole;
    if (lines.length === 0) return undefined;
    for (const line of lines) if (!readLine(read, line)) return undefined;
  }
  const told = read.marks.reduce((furthest, mark) => (positionOf(mark?.seq) > positionOf(furthest?.seq) ? mark : furthest));
  const events = [...read.events.values()].sort((a, b) => a.seq - b.seq);
  if (!isOneChain(events, read.marks)) return undefined;
  return {
    told,
    events: events.map(({ seq, digest, envelope }) => ({ seq, digest, envelope })),
    whole,
    marks: read.marks.length - 1,
  };
}

type Linked = KeptEvent & { readonly prev: string };
type Reading = {
  readonly marks: HeadPosition[];
  readonly events: Map<number, Linked>;
};

/** A power loss leaves a line without its end, or bytes that were never written: NUL, which no line holds. */
function linesIn(bytes: Uint8Array): { readonly lines: readonly Uint8Array[]; readonly isWhole: boolean } {
  const unwritten = bytes.indexOf(0);
  const written = unwritten === -1 ? bytes : bytes.subarray(0, unwritten);
  const lines: Uint8Array[] = [];
  let from = 0;
  for (let end = written.indexOf(LINE_BREAK); end !== -1; end = written.indexOf(LINE_BREAK, from)) {
    lines.push(written.subarray(from, end));
    from = end + 1;
  }
  const rest = written.subarray(from);
  // The first line is never torn: it came whole, under another name.
  if (lines.length === 0 && rest.length > 0) lines.push(rest);
  return { lines, isWhole: rest.length === 0 && unwritten === -1 };
}

function readLine({ marks, events }: Reading, line: Uint8Array): boolean {
  const text = Buffer.from(line.buffer, line.byteOffset, line.byteLength);
  if (text.subarray(0, EVENT_OPENING.length).toString() === EVENT_OPENING) {
    const { digest, seq, prev } = peek(line);
    if (seq === undefined || prev === undefined) return false;
    const known = events.get(positionOf(seq));
    events.set(positionOf(seq), { seq: positionOf(seq), digest, prev, envelope: line });
    return known === undefined || known.digest === digest;
  }
  const said = parsed(text.toString());
  const mark = headPosition.safeParse(said);
  if (mark.success) marks.push(mark.data);
  return mark.success || isOldNote(said);
}

const isOldNote = (said: unknown): boolean =>
  typeof said === 'object' && said !== null && 'held' in said && digestSchema.safeParse(said.held).success;

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

/** Each event's bytes have the digest that its successor, or a mark, names. */
function isOneChain(events: readonly Linked[], marks: readonly HeadPosition[]): boolean {
  const named = new Map<string, string>();
  const agrees = (seq: string, digest: string): boolean => {
    const known = named.get(seq);
    named.set(seq, digest);
    return known === undefined || known === digest;
  };
  return (
    marks.every((mark) => mark === null || agrees(mark.seq, mark.digest)) &&
    events.every(({ seq, digest, prev }) => agrees(String(seq), digest) && (seq === 1 || agrees(seqOf(seq - 1), prev)))
  );
}
