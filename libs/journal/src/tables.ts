import type { Digest, MigrationId, TrustDomain } from '@carnet/events';
import type { Change, Db } from '@carnet/store';
import type { AnnouncedKey, Frozen } from '@carnet/trust';
import { type ColumnType, sql } from 'kysely';

/** JSON columns are written as text, so that both kinds of database serialise them alike. */
type Json<T> = ColumnType<T, string, string>;

export type LedgerRow = {
  readonly publisher: TrustDomain;
  readonly audience: TrustDomain;
  /** 0 and null: empty. */
  readonly head_seq: number;
  readonly head_digest: Digest | null;
  readonly keys: Json<readonly AnnouncedKey[]>;
  readonly frozen: ColumnType<Frozen | null, string | null, string | null>;
  /** Own ledgers: this database is behind what was published; nothing is appended to any own ledger. */
  readonly quarantined_at: string | null;
  /** Own ledgers in quarantine: what was told up to here is nowhere to be found. */
  readonly lost_seq: number | null;
  /** Own ledgers: everything up to here is acknowledged by the bus / was read back equal / is covered by the peer's signed head. */
  readonly acked_seq: number;
  readonly read_back_seq: number;
  readonly covered_seq: number;
};

export type EventRow = {
  /** SHA-256 of `envelope`, the exact bytes that were signed, sent and stored. */
  readonly digest: Digest;
  readonly publisher: TrustDomain;
  readonly audience: TrustDomain;
  readonly seq: number;
  readonly id: string;
  readonly type: string;
  readonly migration: MigrationId | null;
  readonly epoch: number | null;
  /** Of `MigrationIntended` only: the one event that says which VM a migration moves. */
  readonly vm: string | null;
  readonly time: string;
  readonly placed_at: string;
  /** By its own schema or by key rules. What the fold voids is the fold's to say. */
  readonly void_code: string | null;
  readonly envelope: Uint8Array;
};

export type PeerRow = {
  readonly peer: TrustDomain;
  readonly heard_at: string | null;
  /** Of the peer’s signed heads and answers, as it came, the last that acknowledges no less of our ledger than any before: it cannot deny it. */
  readonly head_envelope: Uint8Array | null;
  /** The end of its own ledger to us, as it signed it. */
  readonly own_seq: number;
  readonly own_digest: Digest | null;
};

/** What convicts a peer: kept, never placed. */
export type ProofRow = {
  readonly digest: Digest;
  readonly peer: TrustDomain;
  readonly code: string;
  readonly envelope: Uint8Array;
  readonly noted_at: string;
};

/** Each ledger as an RFC 6962 log, as far as its publisher signed and its audience cosigned it. */
export type CheckpointRow = {
  readonly publisher: TrustDomain;
  readonly audience: TrustDomain;
  readonly size: number;
  /** Roots of the perfect subtrees of the first `size` leaves, base64, largest first: the tree grows from here. */
  readonly peaks: Json<readonly string[]>;
  /** The cosigned note of that size. */
  readonly note: Uint8Array;
};

export type Tables = {
  readonly ledgers: LedgerRow;
  readonly events: EventRow;
  readonly peers: PeerRow;
  readonly proofs: ProofRow;
  readonly checkpoints: CheckpointRow;
};

const statements: readonly string[] = [
  `create table ledgers (
    publisher text not null, audience text not null,
    head_seq int8 not null default 0, head_digest text,
    keys jsonb not null default '[]', frozen jsonb, quarantined_at text,
    acked_seq int8 not null default 0, read_back_seq int8 not null default 0, covered_seq int8 not null default 0,
    primary key (publisher, audience), check ((head_seq = 0) = (head_digest is null)))`,
  // The keys of this table are the ledger's invariants: one event per position and per id. A fork cannot be stored.
  // `held` and its index are of earlier versions, which read and write them beside us; nothing here does, and it stays false.
  `create table events (
    digest text primary key, publisher text not null, audience text not null, seq int8 not null, id text not null,
    type text not null, migration text, epoch int, vm text, time text not null, placed_at text not null,
    void_code text, held boolean not null default false, envelope bytea not null,
    unique (publisher, audience, seq), unique (publisher, audience, id))`,
  'create index events_migration on events (migration, type) where migration is not null',
  'create index events_vm on events (vm) where vm is not null',
  'create index events_held on events (publisher, audience, seq) where held',
  `create table peers (
    peer text primary key, heard_at text, head_envelope bytea, own_seq int8 not null default 0, own_digest text)`,
  `create table proofs (
    digest text primary key, peer text not null, code text not null, envelope bytea not null, noted_at text not null)`,
];

export const journalChanges: readonly Change[] = [
  {
    name: 'journal-001-ledgers',
    up: async (db: Db) => {
      for (const statement of statements) await sql.raw(statement).execute(db);
    },
  },
  {
    name: 'journal-002-policies',
    up: async (db: Db) => {
      await sql
        .raw(`create index events_policies on events (publisher, audience, seq) where type = 'PolicyAnnounced'`)
        .execute(db);
    },
  },
  {
    name: 'journal-003-agreements',
    up: async (db: Db) => {
      await sql
        .raw(
          `create index events_agreements on events (publisher, audience, seq) where type in ('AgreementProposed', 'AgreementAccepted')`,
        )
        .execute(db);
    },
  },
  {
    name: 'journal-004-checkpoints',
    up: async (db: Db) => {
      await sql
        .raw(
          `create table checkpoints (
            publisher text not null, audience text not null, size int8 not null, peaks jsonb not null, note bytea not null,
            primary key (publisher, audience), check (size > 0))`,
        )
        .execute(db);
    },
  },
  {
    name: 'journal-005-lost',
    up: async (db: Db) => {
      await sql.raw('alter table ledgers add column lost_seq int8').execute(db);
    },
  },
  {
    name: 'journal-006-key-changes',
    up: async (db: Db) => {
      await sql
        .raw(`create index events_key_changes on events (publisher, audience, seq) where type = 'KeyStateChanged'`)
        .execute(db);
    },
  },
];
