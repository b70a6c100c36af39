import type { HeadPosition, TrustDomain } from '@carnet/events';
import { type Frozen, type LedgerState, positionOf, seqOf } from '@carnet/trust';
import { type Kysely, type Selectable, sql, type Transaction } from 'kysely';
import { JournalError } from './error.ts';
import type { LastEvent } from './queries.ts';
import type { LedgerRow, Tables } from './tables.ts';

export type JournalDb = Kysely<Tables>;
export type JournalTx = Transaction<Tables>;
export type Ledger = { readonly publisher: TrustDomain; readonly audience: TrustDomain };
export type StoredLedger = Selectable<LedgerRow>;

/** Each peer's two ledgers exist from the start, so that a head lock always has a row to lock. */
export async function ensureLedgers(db: JournalDb, self: TrustDomain, peers: readonly TrustDomain[]): Promise<void> {
  if (peers.length === 0) return;
  const both = peers.flatMap((peer) => [
    { publisher: self, audience: peer },
    { publisher: peer, audience: self },
  ]);
  const rows = both.map((ledger) => ({
    ...ledger,
    head_seq: 0,
    head_digest: null,
    keys: '[]',
    frozen: null,
    quarantined_at: null,
    lost_seq: null,
    acked_seq: 0,
    read_back_seq: 0,
    covered_seq: 0,
  }));
  await db
    .insertInto('ledgers')
    .values(rows)
    .onConflict((conflict) => conflict.doNothing())
    .execute();
  const peerRows = peers.map((peer) => ({
    peer,
    heard_at: null,
    head_envelope: null,
    own_seq: 0,
    own_digest: null,
  }));
  await db
    .insertInto('peers')
    .values(peerRows)
    .onConflict((conflict) => conflict.doNothing())
    .execute();
}

/** The head lock: whoever holds it is alone in placing events in this ledger, over all replicas, until its transaction ends. */
export async function lockLedger(tx: JournalTx, { publisher, audience }: Ledger): Promise<StoredLedger> {
  const row = await tx
    .selectFrom('ledgers')
    .selectAll()
    .where('publisher', '=', publisher)
    .where('audience', '=', audience)
    .forUpdate()
    .executeTakeFirst();
  if (row === undefined) throw new JournalError('LEDGER_BROKEN', `no ledger from ${publisher} to ${audience}`);
  return row;
}

/** The head lock of an own ledger, and whether one to any of these peers is quarantined: all of them come from the same database. */
export async function lockOwnLedger(
  tx: JournalTx,
  { publisher, audience }: Ledger,
  peers: readonly TrustDomain[],
): Promise<StoredLedger & { readonly quarantined: boolean; readonly lost: boolean; readonly received_seq: number }> {
  const toPeers = sql`(${sql.join([audience, ...peers])})`;
  const row = await tx
    .selectFrom('ledgers')
    .selectAll('ledgers')
    .select(
      sql<boolean>`exists (select 1 from ledgers q where q.publisher = ${publisher} and q.audience in ${toPeers} and q.quarantined_at is not null)`.as(
        'quarantined',
      ),
    )
    .select(
      sql<number>`(select r.head_seq from ledgers r where r.publisher = ${audience} and r.audience = ${publisher})`.as(
        'received_seq',
      ),
    )
    .select(
      sql<boolean>`exists (select 1 from ledgers l where l.publisher = ${publisher} and l.audience in ${toPeers} and l.lost_seq is not null)`.as(
        'lost',
      ),
    )
    .where('publisher', '=', publisher)
    .where('audience', '=', audience)
    .forUpdate()
    .executeTakeFirst();
  if (row === undefined) throw new JournalError('LEDGER_BROKEN', `no ledger from ${publisher} to ${audience}`);
  return row;
}

export async function readLedger(db: JournalDb, { publisher, audience }: Ledger): Promise<StoredLedger> {
  const row = await db
    .selectFrom('ledgers')
    .selectAll()
    .where('publisher', '=', publisher)
    .where('audience', '=', audience)
    .executeTakeFirst();
  if (row === undefined) throw new JournalError('LEDGER_BROKEN', `no ledger from ${publisher} to ${audience}`);
  return row;
}

/** The events of one ledger, to be narrowed. */
export const eventsIn = (db: JournalDb, { publisher, audience }: Ledger) =>
  db.selectFrom('events').where('publisher', '=', publisher).where('audience', '=', audience);

export const headOf = (row: Pick<StoredLedger, 'head_seq' | 'head_digest'>): HeadPosition =>
  row.head_digest === null ? null : { seq: seqOf(row.head_seq), digest: row.head_digest };

export const endOf = ({ head_seq: seq, head_digest: digest }: StoredLedger): LastEvent | undefined =>
  digest === null ? undefined : { seq, digest };

export const stateOf = (row: StoredLedger): LedgerState => ({
  publisher: row.publisher,
  audience: row.audience,
  head: headOf(row),
  keys: row.keys,
  ...(row.frozen === null ? {} : { frozen: row.frozen }),
});

/** Writes what placing events changed. Only under the head lock. */
export async function advanceLedger(tx: JournalTx, state: LedgerState): Promise<void> {
  await tx
    .updateTable('ledgers')
    .set({
      head_seq: positionOf(state.head?.seq),
      head_digest: state.head?.digest ?? null,
      keys: JSON.stringify(state.keys),
    })
    .where('publisher', '=', state.publisher)
    .where('audience', '=', state.audience)
    .execute();
}

/** Both directions: new work with the peer stops on either ledger. The first reason stays. */
export async function freezePair(tx: JournalTx, self: TrustDomain, peer: TrustDomain, frozen: Frozen): Promise<void> {
  await tx
    .updateTable('ledgers')
    .set({ frozen: JSON.stringify(frozen) })
    .where((where) => where.or([where.and({ publisher: self, audience: peer }), where.and({ publisher: peer, audience: self })]))
    .where('frozen', 'is', null)
    .execute();
}
