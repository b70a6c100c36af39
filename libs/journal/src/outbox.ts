import { type Digest, eventSubject, type TrustDomain } from '@carnet/events';
import { positionOf } from '@carnet/trust';
import type { Selectable } from 'kysely';
import type { HeadFile } from './head-file.ts';
import type { JournalParts } from './journal.ts';
import { keepUpTo } from './keep.ts';
import { endOf, eventsIn, type JournalDb, type Ledger, readLedger, type StoredLedger } from './ledgers.ts';
import { digestAt } from './quarantine.ts';
import type { LastEvent } from './queries.ts';
import type { EventRow } from './tables.ts';

/** An event that may be told to its audience: durable outside of the database. */
export type Outgoing = {
  readonly seq: number;
  readonly digest: Digest;
  readonly subject: string;
  readonly envelope: Uint8Array;
};

export type Outbox = {
  readonly marks: () => Promise<Pick<StoredLedger, 'head_seq' | 'acked_seq' | 'read_back_seq' | 'covered_seq'>>;
  /** At most `limit` events after `afterSeq`, in order. Nothing while quarantined. */
  readonly after: (afterSeq: number, limit: number) => Promise<readonly Outgoing[]>;
  /** As `after`, of what was told before: in quarantine as well, since a peer that knows us can help us out of it. */
  readonly again: (afterSeq: number, limit: number) => Promise<readonly Outgoing[]>;
  /** The end of what may be told; `undefined`: nothing yet. */
  readonly tellableHead: () => Promise<LastEvent | undefined>;
  readonly acked: (seq: number) => Promise<void>;
  readonly readBack: (seq: number) => Promise<void>;
  /** The bus has lost what follows `seq`: it counts as neither acknowledged nor read back any more. */
  readonly lostAfter: (seq: number) => Promise<void>;
  /** Position of an event of ours. */
  readonly seqOfDigest: (digest: Digest) => Promise<number | undefined>;
};

export type OutboxParts = Pick<JournalParts, 'db'> & {
  readonly options: Pick<JournalParts['options'], 'self'>;
  readonly roster: Pick<JournalParts['roster'], 'peers'>;
};

/** Our ledger to one peer, as its publisher on the bus needs it. */
export function openOutbox({ db, options: { self }, roster }: OutboxParts, peer: TrustDomain, headFile: HeadFile): Outbox {
  const ledger: Ledger = { publisher: self, audience: peer };
  const mark = async (column: 'acked_seq' | 'read_back_seq', seq: number): Promise<void> => {
    await db
      .updateTable('ledgers')
      .set({ [column]: seq })
      .where('publisher', '=', self)
      .where('audience', '=', peer)
      .where(column, '<', seq)
      .execute();
  };
  /** By the file, or by what the bus and the peer had of it: the file may be a new one. */
  const toldSeq = ({ acked_seq, covered_seq }: Pick<StoredLedger, 'acked_seq' | 'covered_seq'>): number =>
    Math.max(positionOf(headFile.told()?.seq), acked_seq, covered_seq);
  return {
    marks: () => readLedger(db, ledger),
    after: async (afterSeq, limit) => {
      const rows = outgoingOf(await rowsAfter(db, ledger, afterSeq, limit, [peer, ...roster.peers]));
      const outgoing = headFile.isFull() ? rows.filter(({ seq }) => seq <= positionOf(headFile.told()?.seq)) : rows;
      const end = outgoing.at(-1);
      if (end === undefined) return [];
      const kept = await keepUpTo(db, ledger, headFile, { end, purpose: 'told', read: outgoing });
      return kept.seq === end.seq ? outgoing : outgoing.filter(({ seq }) => seq <= kept.seq);
    },
    again: async (afterSeq, limit) => {
      const told = toldSeq(await readLedger(db, ledger));
      return outgoingOf(await rowsAfter(db, ledger, afterSeq, limit)).filter(({ seq }) => seq <= told);
    },
    tellableHead: async () => {
      const row = await readLedger(db, ledger);
      const told = headFile.told();
      const last = headFile.isFull() && told !== null ? { seq: positionOf(told.seq), digest: told.digest } : endOf(row);
      // Signing a head tells it: it must be durable first, as an event must. In quarantine nothing more is told, nor promised to be sent.
      if (last === undefined || row.quarantined_at !== null) return lastUpTo(db, ledger, Math.min(row.head_seq, toldSeq(row)));
      return keepUpTo(db, ledger, headFile, { end: last, purpose: 'told' });
    },
    acked: (seq) => mark('acked_seq', seq),
    readBack: (seq) => mark('read_back_seq', seq),
    lostAfter: async (seq) => {
      await db
        .updateTable('ledgers')
        .set((set) => ({
          acked_seq: set.fn<number>('least', ['acked_seq', set.val(seq)]),
          read_back_seq: set.fn<number>('least', ['read_back_seq', set.val(seq)]),
        }))
        .where('publisher', '=', self)
        .where('audience', '=', peer)
        .execute();
    },
    seqOfDigest: async (digest) => {
      const rows = await eventsIn(db, ledger).select('seq').where('digest', '=', digest).execute();
      return rows[0]?.seq;
    },
  };
}

async function lastUpTo(db: JournalDb, ledger: Ledger, seq: number): Promise<LastEvent | undefined> {
  const digest = await digestAt(db, ledger.publisher, ledger.audience, seq);
  return digest === undefined ? undefined : { seq, digest };
}

async function rowsAfter(
  db: JournalDb,
  ledger: Ledger,
  afterSeq: number,
  limit: number,
  unlessQuarantined: readonly TrustDomain[] = [],
): Promise<readonly Selectable<EventRow>[]> {
  const quarantined = db
    .selectFrom('ledgers')
    .select('audience')
    .where('publisher', '=', ledger.publisher)
    .where('audience', 'in', [...unlessQuarantined])
    .where('quarantined_at', 'is not', null);
  return eventsIn(db, ledger)
    .selectAll()
    .where('seq', '>', afterSeq)
    .$if(unlessQuarantined.length > 0, (query) => query.where((where) => where.not(where.exists(quarantined))))
    .orderBy('seq')
    .limit(limit)
    .execute();
}

function outgoingOf(rows: readonly Selectable<EventRow>[]): readonly Outgoing[] {
  return rows.map((row) => ({
    seq: row.seq,
    digest: row.digest,
    envelope: row.envelope,
    subject: eventSubject({
      publisher: row.publisher,
      audience: row.audience,
      type: row.type,
      ...(row.migration === null ? {} : { migration: row.migration }),
    }),
  }));
}
