import {
  AGREEMENT_EVENTS_MAX,
  type Digest,
  type HeadPosition,
  MIGRATION_EVENTS_MAX,
  type MigrationId,
  type TrustDomain,
  type VmId,
} from '@carnet/events';
import { type Frozen, positionOf } from '@carnet/trust';
import { type Selectable, type SqlBool, sql } from 'kysely';
import { causalOrder } from './causal-order.ts';
import { type CosignedCheckpoint, checkpointsOf } from './checkpoints.ts';
import { eventsIn, headOf, type JournalDb, type Ledger } from './ledgers.ts';
import { JOURNEY_VMS_MAX, QUERY_ROWS_MAX } from './limits.ts';
import {
  type EventOfVm,
  eventOfVm,
  type PlacedEvent,
  placedEvent,
  type StoredEvent,
  storedEvent,
  type Watermarks,
} from './stored-event.ts';
import type { EventRow, ProofRow } from './tables.ts';

/** All attempts to move one VM between us and one peer. */
export type VmWithPeer = { readonly vm: VmId; readonly peer: TrustDomain };
/** The last event of them in one ledger. In a hash chain, equal ends have equal histories. */
export type LastEvent = { readonly seq: number; readonly digest: Digest };
export type JourneyEnds = VmWithPeer & { readonly own: LastEvent | undefined; readonly received: LastEvent | undefined };

export type LedgerHead = Ledger & {
  readonly head: HeadPosition;
  readonly frozen?: Frozen;
  readonly quarantinedAt?: string;
  /** Own ledgers in quarantine: up to here it was told, and not all of that is to be found. */
  readonly lostSeq?: number;
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
  /**
   * All events of these migrations from both ledgers that their schema allows, of each publisher the first MIGRATION_EVENTS_MAX; each after those that it
   * relies on, whatever order they came in.
   */
  readonly eventsOfMigrations: (ids: readonly MigrationId[]) => Promise<readonly StoredEvent[]>;
  /** As `eventsOfMigrations`, of all attempts to move this VM between us and that peer, whoever opened them; all of one moment. */
  readonly eventsOfVm: (of: VmWithPeer) => Promise<readonly EventOfVm[]>;
  /** With whom there were attempts to move this VM, whoever opened them: those that are attached, and those that were. */
  readonly peersOfVm: (vm: VmId) => Promise<readonly TrustDomain[]>;
  /** Where each VM's attempts end in the ledgers: of `JOURNEY_VMS_MAX` VMs in order, those after `after`. Empty: no more. */
  readonly journeyEnds: (after: VmId | undefined) => Promise<readonly JourneyEnds[]>;
  /** Which VMs have an attempt opened in this ledger beyond a position, and up to another: the last such position of each. */
  readonly opened: (
    ledger: Ledger,
    range: { readonly after: number; readonly upTo: number },
  ) => Promise<readonly { readonly vm: VmId; readonly seq: number }[]>;
  readonly event: (digest: Digest) => Promise<StoredEvent | undefined>;
  /** `from`: first position, default 1; at most QUERY_ROWS_MAX at once. */
  readonly ledger: (
    ledger: Ledger,
    range?: { readonly from?: number; readonly limit?: number },
  ) => Promise<readonly StoredEvent[]>;
  /** What this CSP said of its policy sets, to one peer or to all, oldest first for each. */
  readonly policiesAnnounced: (audience?: TrustDomain) => Promise<readonly StoredEvent[]>;
  /** What we and a peer proposed and accepted: of both ledgers, each oldest first, the first AGREEMENT_EVENTS_MAX. */
  readonly agreementsWith: (peer: TrustDomain) => Promise<readonly StoredEvent[]>;
  /** What this CSP told a peer of keys: `KeyStateChanged` beyond a position, oldest first; at most QUERY_ROWS_MAX at once. */
  readonly keyChangesTold: (audience: TrustDomain, after: number) => Promise<readonly PlacedEvent[]>;
  readonly heads: () => Promise<readonly LedgerHead[]>;
  readonly peersState: () => Promise<readonly PeerState[]>;
  /** The newest checkpoint of each ledger that its publisher signed and its audience cosigned: C2SP notes. */
  readonly checkpoints: () => Promise<readonly CosignedCheckpoint[]>;
};

/** Which of its publisher's events of one migration an event is, of those that its schema allows. */
const place = sql<number>`row_number() over (partition by publisher, audience, migration order by seq)`;

/** Reads through any connection: the pool, or the transaction of an append, which then sees its own drafts. */
export function queries(db: JournalDb, self: TrustDomain): Queries {
  return {
    eventsOfMigrations: async (ids) => {
      if (ids.length === 0) return [];
      const { rows } = await sql<Selectable<EventRow>>`
        select * from (select *, ${place} as place from events where migration in (${sql.join(ids)}) and void_code is null) counted
        where place <= ${MIGRATION_EVENTS_MAX} order by publisher, seq`.execute(db);
      return causalOrder(await decorated(db, self, rows));
    },
    eventsOfVm: async ({ vm, peer }) => {
      // One statement sees one moment: an intent placed between two would be missing before events that come after it.
      const { rows } = await sql<Pick<Selectable<EventRow>, 'digest' | 'envelope' | 'placed_at'>>`
        select digest, envelope, placed_at from
          (select digest, envelope, placed_at, publisher, seq, ${place} as place from events where ${withPeer(peer)} and void_code is null
            and migration in (select migration from events where vm = ${vm} and ${withPeer(peer)})) counted
        where place <= ${MIGRATION_EVENTS_MAX} order by publisher, seq`.execute(db);
      return causalOrder(rows.map(eventOfVm));
    },
    peersOfVm: async (vm) => {
      const { rows } = await sql<{ readonly peer: TrustDomain }>`
        select distinct ${otherThan(self)} as peer from events where vm = ${vm} order by peer`.execute(db);
      return rows.map(({ peer }) => peer);
    },
    journeyEnds: (after) => journeyEnds(db, self, after),
    opened: (ledger, range) => opened(db, ledger, range),
    event: async (digest) => {
      const rows = await db.selectFrom('events').selectAll().where('digest', '=', digest).execute();
      return (await decorated(db, self, rows))[0];
    },
    ledger: async ({ publisher, audience }, { from = 1, limit = QUERY_ROWS_MAX } = {}) => {
      const rows = await eventsIn(db, { publisher, audience })
        .selectAll()
        .where('seq', '>=', from)
        .orderBy('seq')
        .limit(Math.min(limit, QUERY_ROWS_MAX))
        .execute();
      return decorated(db, self, rows);
    },
    policiesAnnounced: async (audience) => {
      let query = db.selectFrom('events').selectAll().where(sql<boolean>`type = 'PolicyAnnounced'`).where('publisher', '=', self);
      if (audience !== undefined) query = query.where('audience', '=', audience);
      return decorated(db, self, await query.orderBy('audience').orderBy('seq').execute());
    },
    agreementsWith: async (peer) => {
      const said = (publisher: TrustDomain, audience: TrustDomain) =>
        eventsIn(db, { publisher, audience })
          .selectAll()
          .where(sql<boolean>`type in ('AgreementProposed', 'AgreementAccepted')`)
          .orderBy('seq')
          .limit(AGREEMENT_EVENTS_MAX)
          .execute();
      return decorated(db, self, [...(await said(self, peer)), ...(await said(peer, self))]);
    },
    keyChangesTold: async (audience, after) => {
      const rows = await eventsIn(db, { publisher: self, audience })
        .select(['digest', 'envelope'])
        .where(sql<boolean>`type = 'KeyStateChanged' and void_code is null`)
        .where('seq', '>', after)
        .orderBy('seq')
        .limit(QUERY_ROWS_MAX)
        .execute();
      return rows.map(placedEvent);
    },
    heads: () => heads(db),
    peersState: () => peersState(db, self),
    checkpoints: () => checkpointsOf(db),
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

const withPeer = (peer: TrustDomain) => sql<SqlBool>`(publisher = ${peer} or audience = ${peer})`;

const otherThan = (self: TrustDomain) => sql<TrustDomain>`case when publisher = ${self} then audience else publisher end`;

type EndsRow = VmWithPeer & {
  readonly own_seq: number | null;
  readonly own_digest: Digest | null;
  readonly received_seq: number | null;
  readonly received_digest: Digest | null;
};

async function journeyEnds(db: JournalDb, self: TrustDomain, after: VmId | undefined): Promise<readonly JourneyEnds[]> {
  const last = (what: 'seq' | 'digest', whose: 'own' | 'received') =>
    sql`(array_agg(e.${sql.raw(what)} order by e.seq desc) filter (where e.publisher ${sql.raw(whose === 'own' ? '=' : '<>')} ${self}))[1]`;
  const { rows } = await sql<EndsRow>`
    with vms as (
      select distinct vm from events where vm is not null ${after === undefined ? sql`` : sql`and vm > ${after}`}
      order by vm limit ${JOURNEY_VMS_MAX}),
    intents as (select distinct vm, migration, ${otherThan(self)} as peer from events where vm in (select vm from vms))
    select i.vm, i.peer, ${last('seq', 'own')} as own_seq, ${last('digest', 'own')} as own_digest,
      ${last('seq', 'received')} as received_seq, ${last('digest', 'received')} as received_digest
    from intents i join events e on e.migration = i.migration and (e.publisher = i.peer or e.audience = i.peer)
    group by i.vm, i.peer order by i.vm`.execute(db);
  const end = (seq: number | null, digest: Digest | null): LastEvent | undefined =>
    seq === null || digest === null ? undefined : { seq, digest };
  return rows.map(({ vm, peer, own_seq, own_digest, received_seq, received_digest }) => ({
    vm,
    peer,
    own: end(own_seq, own_digest),
    received: end(received_seq, received_digest),
  }));
}

async function opened(
  db: JournalDb,
  { publisher, audience }: Ledger,
  { after, upTo }: { readonly after: number; readonly upTo: number },
): Promise<readonly { readonly vm: VmId; readonly seq: number }[]> {
  const { rows } = await sql<{ readonly vm: VmId; readonly seq: number }>`
    select vm, max(seq) as seq from events
    where publisher = ${publisher} and audience = ${audience} and seq > ${after} and seq <= ${upTo} and vm is not null
    group by vm`.execute(db);
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
    ...(row.lost_seq === null ? {} : { lostSeq: row.lost_seq }),
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
