import { randomInt } from 'node:crypto';
import { mkdir } from 'node:fs/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import { type Digest, type HeadPosition, subjectToken, type TrustDomain } from '@carnet/events';
import { positionOf, seqOf } from '@carnet/trust';
import { JournalError } from './error.ts';
import { filesIn } from './head-file-disk.ts';
import { eventLine, type Lines, markLine } from './kept-lines.ts';
import { KEPT_BYTES_MAX, KEPT_COVERED_BYTES_MAX, KEPT_MARKS_MAX } from './limits.ts';

/** An own event, outside of the database. */
export type KeptEvent = {
  readonly seq: number;
  readonly digest: Digest;
  readonly envelope: Uint8Array;
};

export type Kept = {
  /** All up to here may have been told. */
  readonly told: HeadPosition;
  /** In order. Gaps are of what other replicas told, and of what the peer had signed to hold. */
  readonly events: readonly KeptEvent[];
};

/**
 * The end of one own ledger and the events that led there, durable outside of the database: a database found behind it was
 * restored or lost power, and gets them back from here. What was told may be under way for ever, so neither goes back: a
 * position that was told once never holds another event.
 *
 * One directory for each replica; sharing one among replicas of a machine is safe, over a network file system it is not.
 */
export type HeadFile = {
  /** @throws JournalError HEAD_FILE_BROKEN */
  readonly read: () => Promise<Kept>;
  /** The end, as far as this process knows without looking: what it wrote or read last. */
  readonly known: () => HeadPosition;
  readonly told: () => HeadPosition;
  /** Returns once these, and that all up to `told` may be told, are on disk. */
  readonly keep: (events: readonly KeptEvent[], told: HeadPosition) => Promise<void>;
  /** The peer signed that it holds all up to here: these need not be kept for ever, but the newest of them. */
  readonly covered: (head: HeadPosition) => Promise<void>;
  /** It may hold more that the peer has than is worth keeping: tell it how far, by `covered`. */
  readonly isLarge: () => boolean;
  /** The peer has acknowledged too little for too long: nothing more may be told. */
  readonly isFull: () => boolean;
};

export const headOfKept = ({ told, events }: Kept): HeadPosition => {
  const last = events.at(-1);
  return last === undefined || last.seq <= positionOf(told?.seq) ? told : { seq: seqOf(last.seq), digest: last.digest };
};

type Size = { readonly seq: number; readonly bytes: number };
/** What this process knows of the file. */
type Known = {
  readonly told: HeadPosition;
  readonly head: HeadPosition;
  readonly sizes: readonly Size[];
  readonly bytes: number;
  /** It may be appended to; else a whole one is written in its place first. */
  readonly whole: boolean;
  readonly marks: number;
};

/** A torn or repeated write is repaired by the next one; a directory that takes none is the operator's to mend. */
const ATTEMPTS_MAX = 8;
/** Milliseconds; doubled after each attempt. */
const PAUSE_MS = 4;

/**
 * `head`: of our ledger to this peer. `relied`: of the peer's to us, how far effects have relied on it; its events are the peer's to send again, so
 * only the position is kept, as if all up to there had been told.
 */
export type KeptOf = 'head' | 'relied';

/** @param bounds once the peer holds so much of the file, it is written anew without the older half of that; and after so many marks */
export async function openHeadFile(
  dir: string,
  peer: TrustDomain,
  of: KeptOf = 'head',
  { coveredBytesMax = KEPT_COVERED_BYTES_MAX, marksMax = KEPT_MARKS_MAX } = {},
): Promise<HeadFile> {
  await mkdir(dir, { recursive: true, mode: 0o700 });
  const files = filesIn(dir, `${subjectToken(peer)}.${of}`);
  let known: Known | undefined;
  let isStale = true;
  let turn: Promise<unknown> = Promise.resolve();
  /** One writer at a time; a failed one does not poison the next. */
  const inTurn = <T>(work: () => Promise<T>): Promise<T> => {
    const mine = turn.then(work, work);
    turn = mine.catch(() => undefined);
    return mine;
  };
  const load = async (): Promise<Lines> => {
    const lines = await files.read();
    known = knownOf(lines);
    isStale = false;
    return lines;
  };
  type Writing = (known: Known) => Promise<Known | undefined>;
  /** False: another replica came between. */
  const writeOnce = async (work: Writing): Promise<boolean> => {
    const before = isStale || known === undefined ? knownOf(await load()) : known;
    // Whatever happens, the next writer looks at the disk first.
    isStale = true;
    const after = await work(before);
    if (after === undefined) return false;
    known = after;
    isStale = false;
    return true;
  };
  const write = async (work: Writing): Promise<void> => {
    for (let attempt = 0; attempt < ATTEMPTS_MAX; attempt++) {
      if (await writeOnce(work)) return;
      // Drawn, and each time from more: others that write whenever they can would else come between every time.
      await sleep(randomInt(PAUSE_MS * 2 ** attempt));
    }
    throw new JournalError('HEAD_FILE_BROKEN', `${files.path} is replaced again and again: who else writes there?`);
  };
  /** The whole file anew, under its own name. */
  const rewrite = async (gone: number, more: Kept): Promise<Known | undefined> => {
    await files.takeAway();
    const kept = merged(await files.read(), more, gone);
    const text = Buffer.concat([markLine(kept.told), ...kept.events.map(eventLine)]);
    return (await files.place(text)) ? knownOf({ ...kept, whole: true, marks: 1 }) : undefined;
  };

  return {
    read: () => inTurn(load),
    known: () => known?.head ?? null,
    told: () => known?.told ?? null,
    isFull: () => (known?.bytes ?? 0) > KEPT_BYTES_MAX,
    isLarge: () => (known?.bytes ?? 0) >= coveredBytesMax,
    keep: (events, told) =>
      inTurn(() =>
        write(async (before) => {
          const fresh = events.filter(({ seq }) => seq > positionOf(before.head?.seq));
          const mark = further(before.told, told);
          if (fresh.length === 0 && mark === before.told) return before;
          if (!before.whole || before.marks >= marksMax) return rewrite(0, { told, events: fresh });
          const lines = [...fresh.map(eventLine), ...(mark === before.told ? [] : [markLine(mark)])];
          return (await files.append(Buffer.concat(lines))) ? advanced(before, fresh, mark) : undefined;
        }),
      ),
    covered: (head) =>
      inTurn(async () => {
        // It only makes room: whoever came between may have made it, and the next acknowledgement asks again.
        await writeOnce(async (before) => {
          if (before.bytes < coveredBytesMax) return before;
          const covered = before.sizes.filter(({ seq }) => seq <= positionOf(head?.seq));
          if (total(covered) < coveredBytesMax) return before;
          return rewrite(oldest(covered, coveredBytesMax / 2), { told: head, events: [] });
        });
      }),
  };
}

const sizeOf = ({ seq, envelope }: KeptEvent): Size => ({ seq, bytes: envelope.length });
const total = (sizes: readonly Size[]): number => sizes.reduce((sum, { bytes }) => sum + bytes, 0);
const further = (a: HeadPosition, b: HeadPosition): HeadPosition => (positionOf(b?.seq) > positionOf(a?.seq) ? b : a);

function knownOf({ told, events, whole, marks }: Lines): Known {
  const sizes = events.map(sizeOf);
  return { told, head: headOfKept({ told, events }), sizes, bytes: total(sizes), whole, marks };
}

function advanced(before: Known, fresh: readonly KeptEvent[], told: HeadPosition): Known {
  const sizes = fresh.map(sizeOf);
  return {
    told,
    head: further(before.head, headOfKept({ told, events: fresh })),
    sizes: before.sizes.concat(sizes),
    bytes: before.bytes + total(sizes),
    whole: true,
    marks: before.marks + (told === before.told ? 0 : 1),
  };
}

/** Up to which position there are so many bytes: the peer may be restored as well, behind what it holds now, and then the newest are nowhere else. */
function oldest(sizes: readonly Size[], bytes: number): number {
  let sum = 0;
  for (const size of sizes) {
    sum += size.bytes;
    if (sum >= bytes) return size.seq;
  }
  return 0;
}

/** The longer mark and all events, but those up to `gone`. */
function merged(kept: Kept, more: Kept, gone: number): Kept {
  const last = positionOf(headOfKept(kept)?.seq);
  const events = [...kept.events, ...more.events.filter(({ seq }) => seq > last)];
  return { told: further(kept.told, more.told), events: events.filter(({ seq }) => seq > gone) };
}
