import type { Digest, Epoch, EventType, HeadPosition, MigrationId, TrustDomain, VmId } from '@carnet/events';
import { type Frozen, positionOf } from '@carnet/trust';
import { type Selectable, sql } from 'kysely';
import { causalOrder } from './causal-order.ts';
import { headOf, type JournalDb, type Ledger } from './ledgers.ts';
import { QUERY_ROWS_MAX } from './limits.ts';
import { type StoredEvent, storedEvent, type Watermarks } from './stored-event.ts';
import type { EventRow, ProofRow } from './tables.ts';

/** One attempt to move a VM, as its `MigrationIntended` opens it. */
export type Intent = { readonly migration: MigrationId; readonly vm: VmId; readonly epoch: Epoch; readonly peer: TrustDomain };

export type LedgerHead = Ledger & {
  readonly head: HeadPosition;
  readonly frozen?: Frozen;
  readonly quarantinedAt?: string;
  readonly ackedSeq: number;
  readonly readBackSeq: number;
  /** Own ledgers: what the peer's signed head covers. */
  readonly coveredSeq: number;
};

export type PeerState = {
  readonly peer: TrustDomain;
  /** When its last valid message came; silence is the runtime's to alarm about. */
  readonly heardAt?: string;
  readonly own: LedgerHead;
  readonly received: LedgerHead;
  /** The end of its ledger to us as it signed it: beyond `received.head` something is missing. */
  readonly claimedSeq: number;
  readonly proofs: readonly Pick<ProofRow, 'digest' | 'code' | 'noted_at'>[];
};

export type Queries = {
  /** All events of these migrations from both ledgers, each after those that it relies on, whatever order they came in. */
  readonly eventsOfMigrations: (ids: readonly MigrationId[]) => Promise<readonly StoredEvent[]>;
  /** Attempts to move this VM between us and that peer, whoever opened them, by epoch. */
  readonly migrationsOfVm: (vm: VmId, peer: TrustDomain) => Promise<readonly Intent[]>;
  /** Attempts of which no event of these types is placed: those that may still owe something. */
  readonly intentsWithout: (types: readonly EventType[]) => Promise<readonly Intent[]>;
  readonly event: (digest: Digest) => Promise<StoredEvent | undefined>;
  /** `from`: first position, default 1; at most QUERY_ROWS_MAX at once. */
  readonly ledger: (
    ledger: Ledger,
    range?: { readonly from?: number; readonly limit?: number },
  ) => Promise<readonly StoredEvent[]>;
  readonly heads: () => Promise<readonly LedgerHead[]>;
  readonly peersState: () => Promise<readonly PeerState[]>;
};

/** Reads through any connection: the pool, or the transaction of an append, which then sees its own drafts. */
export function queries(db: JournalDb, self: TrustDomain): Queries {
  return {
    eventsOfMigrations: async (ids) => {
      if (ids.length === 0) return [];
      const rows = await db
        .selectFrom('events')
        .selectAll()
        .where('migration', 'in', ids)
        .orderBy('publisher')
        .orderBy('seq')
        .execute();
      return causalOrder(await decorated(db, self, rows));
    },
    migrationsOfVm: (vm, peer) => intents(db, self, { vm, peer }),
    intentsWithout: (types) => intents(db, self, { without: types }),
    event: async (digest) => {
      const rows = await db.selectFrom('events').selectAll().where('digest', '=', digest).execute();
      return (await decorated(db, self, rows))[0];
    },
    ledger: async ({ publisher, audience }, { from = 1, limit = QUERY_ROWS_MAX } = {}) => {
      const rows = await db
        .selectFrom('events')
        .selectAll()
        .where('publisher', '=', publisher)
        .where('audience', '=', audience)
        .where('seq', '>=', from)
        .orderBy('seq')
        .limit(Math.min(limit, QUERY_ROWS_MAX))
        .execute();
      return decorated(db, self, rows);
    },
    heads: () => heads(db),
    peersState: () => peersState(db, self),
  };
}

/** Published states of our own events follow from our ledgers' watermarks: one more small read for any number of events. */
async function decorated(
  db: JournalDb,
  self: TrustDomain,
  rows: readonly Selectable<EventRow>[],
): Promise<readonly StoredEvent[]> {
  if (rows.length === 0) return [];
  const own = await db
    .selectFrom('ledgers')
    .select(['audience', 'acked_seq', 'read_back_seq', 'covered_seq'])
    .where('publisher', '=', self)
    .execute();
  const watermarks = new Map<TrustDomain, Watermarks>(own.map((row) => [row.audience, row]));
  return rows.map((row) => storedEvent(row, row.publisher === self ? watermarks.get(row.audience) : undefined));
}

type IntentFilter = { readonly vm?: VmId; readonly peer?: TrustDomain; readonly without?: readonly EventType[] };

async function intents(db: JournalDb, self: TrustDomain, { vm, peer, without }: IntentFilter): Promise<readonly Intent[]> {
  const other = sql<TrustDomain>`case when publisher = ${self} then audience else publisher end`;
  const { rows } = await sql<Intent>`
    select migration, vm, epoch, ${other} as peer from events i
    where vm is not null
      ${vm === undefined ? sql`` : sql`and vm = ${vm}`}
      ${peer === undefined ? sql`` : sql`and ${other} = ${peer}`}
      ${
        without === undefined || without.length === 0
          ? sql``
          : sql`and not exists (select 1 from events e where e.migration = i.migration and e.type in (${sql.join(without)}))`
      }
    order by epoch, placed_at`.execute(db);
  return rows;
}

async function heads(db: JournalDb): Promise<readonly LedgerHead[]> {
  const rows = await db.selectFrom('ledgers').selectAll().orderBy('publisher').orderBy('audience').execute();
  return rows.map((row) => ({
    publisher: row.publisher,
    audience: row.audience,
    head: headOf(row),
    ...(row.frozen === null ? {} : { frozen: row.frozen }),
    ...(row.quarantined_at === null ? {} : { quarantinedAt: row.quarantined_at }),
    ackedSeq: row.acked_seq,
    readBackSeq: row.read_back_seq,
    coveredSeq: row.covered_seq,
  }));
}

async function peersState(db: JournalDb, self: TrustDomain): Promise<readonly PeerState[]> {
  const ledgers = await heads(db);
  const peers = await db.selectFrom('peers').selectAll().orderBy('peer').execute();
  const proofs = await db.selectFrom('proofs').select(['peer', 'digest', 'code', 'noted_at']).orderBy('noted_at').execute();
  return peers.flatMap((row) => {
    const own = ledgers.find((ledger) => ledger.publisher === self && ledger.audience === row.peer);
    const received = ledgers.find((ledger) => ledger.publisher === row.peer && ledger.audience === self);
    if (own === undefined || received === undefined) return [];
    return [
      {
        peer: row.peer,
        ...(row.heard_at === null ? {} : { heardAt: row.heard_at }),
        own,
        received,
        claimedSeq: Math.max(row.own_seq, positionOf(received.head?.seq)),
        proofs: proofs.filter((proof) => proof.peer === row.peer),
      },
    ];
  });
}
