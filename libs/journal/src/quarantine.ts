import type { TrustDomain } from '@carnet/events';
import { positionOf } from '@carnet/trust';
import { JOURNAL_CODES } from './codes.ts';
import { timeOf } from './draft.ts';
import { type HeadFile, headOfKept } from './head-file.ts';
import { eventsIn, type JournalDb, type Ledger, readLedger } from './ledgers.ts';
import type { Clock, Log } from './ports.ts';

export type QuarantinePorts = {
  readonly self: TrustDomain;
  readonly headFiles: ReadonlyMap<TrustDomain, HeadFile>;
  readonly reliedFiles: ReadonlyMap<TrustDomain, HeadFile>;
  readonly clock: Clock;
  readonly log: Log;
};

/**
 * Compares each own ledger with the head that was fsynced outside of the database, and each peer's with how far effects relied on it. A
 * database behind its file was restored or lost power: what it would append now could contradict what it signed, or forget what a host
 * did on a peer's word.
 */
export async function quarantineIfBehind(db: JournalDb, ports: QuarantinePorts): Promise<void> {
  for (const [audience, file] of ports.headFiles) {
    const missing = await missingFrom(db, { publisher: ports.self, audience }, file);
    if (missing !== undefined) await quarantine(db, ports, `${audience}: the head file is at ${missing}, the database is not`);
  }
  for (const [publisher, file] of ports.reliedFiles) {
    const missing = await missingFrom(db, { publisher, audience: ports.self }, file);
    if (missing !== undefined)
      await quarantine(db, ports, `effects relied on event ${missing} of ${publisher}, which is not here`);
  }
}

/** Stops appending to every own ledger: they are all in the database that was found behind. Those of former peers wait until one is a peer again. */
export async function quarantine(
  db: JournalDb,
  { self, clock, log }: Omit<QuarantinePorts, 'headFiles' | 'reliedFiles'>,
  why: string,
): Promise<void> {
  const entered = await db
    .updateTable('ledgers')
    .set({ quarantined_at: timeOf(clock.nowMs()) })
    .where('publisher', '=', self)
    .where('quarantined_at', 'is', null)
    .returning('audience')
    .execute();
  if (entered.length > 0) log.error({ code: 'LEDGER_QUARANTINED', ledgers: entered.length, why }, 'own ledgers are quarantined');
}

/** The end of what was told or relied on, by the file, if this database does not hold it. */
async function missingFrom(db: JournalDb, { publisher, audience }: Ledger, file: HeadFile): Promise<number | undefined> {
  const end = headOfKept(await file.read());
  if (end === null) return undefined;
  const seq = positionOf(end.seq);
  return (await digestAt(db, publisher, audience, seq)) === end.digest ? undefined : seq;
}

/** An event of the peer's that effects relied on. `isAnother`: the peer has sent another one in its place. */
export type Unread = { readonly seq: number; readonly isAnother: boolean };

/**
 * One peer has answered a fresh challenge, and what it, our own files and the bus hold of us is here. Ends when the last peer has,
 * and only with everything that was told: what nobody received yet may be under way for ever, and a second event at its position is
 * a fork. Also with all that effects relied on, which the peer sends again: until then it answers what is missing.
 *
 * @param onlyOnBus the bus holds this position, and nobody what leads there
 */
export async function leaveQuarantine(
  db: JournalDb,
  ports: QuarantinePorts,
  peer: TrustDomain,
  onlyOnBus?: number,
): Promise<Unread | undefined> {
  const { self, headFiles, reliedFiles, log } = ports;
  const row = await readLedger(db, { publisher: self, audience: peer });
  const file = headFiles.get(peer);
  if (row.quarantined_at === null || file === undefined) return undefined;
  const missing = (await missingFrom(db, { publisher: self, audience: peer }, file)) ?? onlyOnBus;
  const update = db.updateTable('ledgers').where('publisher', '=', self).where('audience', '=', peer);
  if (missing !== undefined) {
    if (row.lost_seq === missing) return undefined;
    await update.set({ lost_seq: missing }).execute();
    log.error({ code: 'LEDGER_EVENTS_LOST', peer, held: row.head_seq, told: missing }, JOURNAL_CODES.LEDGER_EVENTS_LOST.text);
    return undefined;
  }
  const relied = reliedFiles.get(peer);
  const unread = relied === undefined ? undefined : await missingFrom(db, { publisher: peer, audience: self }, relied);
  if (unread !== undefined) {
    const isAnother = (await digestAt(db, peer, self, unread)) !== undefined;
    return { seq: unread, isAnother };
  }
  await update.set({ quarantined_at: null, lost_seq: null }).where('head_seq', '=', row.head_seq).execute();
  log.warn({ peer, seq: row.head_seq }, 'the peer told what it holds of us: this ledger leaves quarantine');
  return undefined;
}

/** Whether one of our ledgers to these peers is. Whoever is no peer any more is not asked, and nobody waits for its answer. */
export async function isQuarantined(db: JournalDb, self: TrustDomain, peers: readonly TrustDomain[]): Promise<boolean> {
  const rows = await db
    .selectFrom('ledgers')
    .select('audience')
    .where('publisher', '=', self)
    .where('quarantined_at', 'is not', null)
    .execute();
  return rows.some(({ audience }) => peers.includes(audience));
}

export async function digestAt(db: JournalDb, publisher: TrustDomain, audience: TrustDomain, seq: number) {
  const row = await eventsIn(db, { publisher, audience }).select('digest').where('seq', '=', seq).executeTakeFirst();
  return row?.digest;
}
