import type { TrustDomain } from '@carnet/events';
import { positionOf } from '@carnet/trust';
import { timeOf } from './draft.ts';
import type { HeadFile } from './head-file.ts';
import { eventsIn, headOf, type JournalDb, readLedger } from './ledgers.ts';
import type { Clock, Log } from './ports.ts';

export type QuarantinePorts = {
  readonly self: TrustDomain;
  readonly headFiles: ReadonlyMap<TrustDomain, HeadFile>;
  readonly clock: Clock;
  readonly log: Log;
};

/**
 * Compares each own ledger with the head that was fsynced outside of the database. A database behind its file was restored or
 * lost power: what it would append now could contradict what it signed before.
 */
export async function quarantineIfBehind(db: JournalDb, ports: QuarantinePorts): Promise<void> {
  for (const [audience, file] of ports.headFiles) {
    const onDisk = await file.read();
    if (onDisk === null) continue;
    const held = await digestAt(db, ports.self, audience, positionOf(onDisk.seq));
    if (held !== onDisk.digest)
      await quarantine(db, ports, `${audience}: the head file is at ${onDisk.seq}, the database is not`);
  }
}

/** Stops appending to every own ledger: they are all in the database that was found behind. */
export async function quarantine(
  db: JournalDb,
  { self, clock, log }: Omit<QuarantinePorts, 'headFiles'>,
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

/**
 * One peer has answered a fresh challenge, and we have all that it holds of us. Ends when the last peer has: what nobody
 * received never counted, so the head file goes back to what is held.
 */
export async function leaveQuarantine(db: JournalDb, ports: QuarantinePorts, peer: TrustDomain): Promise<void> {
  const { self, headFiles, log } = ports;
  const row = await readLedger(db, { publisher: self, audience: peer });
  if (row.quarantined_at === null) return;
  await headFiles.get(peer)?.settle(headOf(row));
  await db
    .updateTable('ledgers')
    .set({ quarantined_at: null })
    .where('publisher', '=', self)
    .where('audience', '=', peer)
    .where('head_seq', '=', row.head_seq)
    .execute();
  log.warn({ peer, seq: row.head_seq }, 'the peer told what it holds of us: this ledger leaves quarantine');
}

export async function quarantinedPeers(db: JournalDb, self: TrustDomain): Promise<readonly TrustDomain[]> {
  const rows = await db
    .selectFrom('ledgers')
    .select('audience')
    .where('publisher', '=', self)
    .where('quarantined_at', 'is not', null)
    .execute();
  return rows.map(({ audience }) => audience);
}

export async function digestAt(db: JournalDb, publisher: TrustDomain, audience: TrustDomain, seq: number) {
  const row = await eventsIn(db, { publisher, audience }).select('digest').where('seq', '=', seq).executeTakeFirst();
  return row?.digest;
}
