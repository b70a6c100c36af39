import type { HeadPosition } from '@carnet/events';
import { positionOf, seqOf, sha256Hex } from '@carnet/trust';
import { JournalError } from './error.ts';
import type { HeadFile, KeptEvent } from './head-file.ts';
import { eventsIn, type JournalDb, type Ledger, readLedger } from './ledgers.ts';
import { PUBLISH_BATCH_MAX } from './limits.ts';
import { peek } from './peek.ts';
import type { LastEvent } from './queries.ts';

/** `told`: all up to there is told from now on. `relied-on`: effects follow, and nothing is told yet. */
export type Purpose = 'told' | 'relied-on';

/**
 * Returns once `end` and the events that lead there are on disk outside of the database: all of them that the peer has not signed
 * to hold, since another replica may have told some, and its disk may be lost with the database. Of what is to be told it keeps no more
 * than the file may hold, and answers how far that is: nothing beyond may be told.
 *
 * @param read events of this ledger in order, if they were read already
 * @throws JournalError LEDGER_BROKEN: the database contradicts what was kept, or a row of it is damaged; nothing is kept
 */
export async function keepUpTo(
  db: JournalDb,
  ledger: Ledger,
  file: HeadFile,
  { end, purpose, read = [] }: { readonly end: LastEvent; readonly purpose: Purpose; readonly read?: readonly KeptEvent[] },
): Promise<LastEvent> {
  const toldUpTo = ({ seq, digest }: LastEvent): HeadPosition => (purpose === 'told' ? { seq: seqOf(seq), digest } : null);
  const known = file.known();
  if (positionOf(known?.seq) === end.seq && known?.digest !== end.digest)
    throw new JournalError(
      'LEDGER_BROKEN',
      `event ${end.seq} to ${ledger.audience} was ${known?.digest}, and is ${end.digest} now`,
    );
  const first = read[0]?.seq ?? Number.POSITIVE_INFINITY;
  let from = positionOf(known?.seq);
  if (from + 1 < Math.min(first, end.seq)) from = Math.max(from, (await readLedger(db, ledger)).covered_seq);
  while (from < end.seq) {
    const batch = first <= from + 1 ? read.filter(({ seq }) => seq > from) : await eventsAfter(db, ledger, from, end.seq);
    const last = batch.at(-1);
    if (last === undefined) throw new JournalError('LEDGER_BROKEN', `event ${from + 1} to ${ledger.audience} is missing`);
    checkSound(file, ledger, batch, end);
    await file.keep(batch, last.seq === end.seq ? toldUpTo(end) : null);
    from = last.seq;
    if (purpose === 'told' && last.seq < end.seq && file.isFull()) {
      await file.keep([], toldUpTo(last));
      return { seq: last.seq, digest: last.digest };
    }
  }
  await file.keep([], toldUpTo(end));
  return end;
}

async function eventsAfter(db: JournalDb, ledger: Ledger, after: number, upTo: number): Promise<readonly KeptEvent[]> {
  return eventsIn(db, ledger)
    .select(['seq', 'digest', 'envelope'])
    .where('seq', '>', after)
    .where('seq', '<=', upTo)
    .orderBy('seq')
    .limit(PUBLISH_BATCH_MAX)
    .execute();
}

/** What is kept must be read again after a disaster: bytes and digests that disagree are found now. */
function checkSound(file: HeadFile, { audience }: Ledger, events: readonly KeptEvent[], end: LastEvent): void {
  const head = file.known();
  for (const { seq, digest, envelope } of events) {
    if (sha256Hex(envelope) !== digest) throw new JournalError('LEDGER_BROKEN', `event ${seq} to ${audience} is damaged`);
    if (seq === positionOf(head?.seq) + 1 && head !== null && peek(envelope).prev !== head.digest)
      throw new JournalError('LEDGER_BROKEN', `event ${seq} to ${audience} does not follow what was kept`);
    if (seq === end.seq && digest !== end.digest)
      throw new JournalError('LEDGER_BROKEN', `expected event ${seq} to ${audience} to be ${end.digest}, got ${digest}`);
  }
}
