import type { Db, Tx } from '@carnet/store';
import type { Kysely, Transaction } from 'kysely';

/** Columns as they are. JSON is kept as text: what was committed is what is sent again, byte for byte. Times are RFC 3339 text. */
export type KeysTables = {
  readonly keys_keks: {
    readonly tenant: string;
    readonly version: number;
    /** Null once destroyed: nothing was left under it. */
    readonly wrapped: string | null;
    readonly created_at: string;
    readonly destroyed_at: string | null;
    /** When it was declared lost with its root. */
    readonly lost_at: string | null;
  };
  readonly keys_rotations: {
    readonly tenant: string;
    readonly version: number;
    readonly actor: string;
    readonly reason: string;
    readonly deks: number;
    readonly secrets: number;
    readonly started_at: string;
    readonly finished_at: string | null;
  };
  readonly keys_holdings: {
    readonly key: string;
    readonly version: number;
    readonly arrival: number;
    readonly tenant: string;
    readonly vm: string | null;
    readonly artifact: string;
    readonly kind: string;
    readonly derivation: string;
    readonly capacity_bytes: string;
    readonly header_digest: string | null;
    readonly state: string;
    readonly origin: string;
    readonly provenance: string | null;
    /** The holding whose place this key took. */
    readonly replaces: string | null;
    /** Migration that a memory key serves, and the host command that sealed with it: each once. */
    /** How an escrow brought it back, if one did. */
    readonly recovered: string | null;
    readonly used_by: string | null;
    readonly sealed_by: string | null;
    /** Both null before the key has arrived and after it is destroyed. */
    readonly kek_version: number | null;
    readonly wrapped: string | null;
    /** Id of the secret in another key manager that has the DEK; `wrapped` is then its check value. */
    readonly secret: string | null;
    /** Merkle root of the artifact as it was handed over: both sides have verified it. */
    readonly image_root: string | null;
    readonly created_at: string;
    readonly changed_at: string;
  };
  readonly keys_secrets: {
    readonly key: string;
    readonly version: number;
    readonly arrival: number;
    readonly tenant: string;
    readonly announced_at: string;
    /** State and time of the holding when Barbican was last told. */
    readonly settled: string | null;
  };
  readonly keys_history: {
    readonly key: string;
    readonly version: number;
    readonly arrival: number;
    readonly position: number;
    readonly from_state: string | null;
    readonly to_state: string;
    readonly at: string;
    readonly actor: string;
    readonly reason: string;
    readonly cause: string | null;
    /** Hash chain over all lines of a key, in order. `signature`: JSON, of an operator's change only. */
    readonly prev: string;
    readonly digest: string;
    readonly signature: string | null;
  };
  /** Which peer holds or held a key, and by which migration. `out`: from here. */
  readonly keys_handovers: {
    readonly key: string;
    readonly version: number;
    readonly migration: string;
    readonly peer: string;
    readonly direction: string;
    readonly epoch: number;
  };
  /** State changes that a peer is owed an event about; `told`: when it was appended to that peer's ledger. */
  readonly keys_announcements: {
    readonly line: string;
    readonly peer: string;
    readonly data: string;
    readonly told: string | null;
  };
  /** What peers said of keys that they shared with us. */
  readonly keys_reports: {
    readonly event: string;
    readonly key: string;
    readonly version: number;
    readonly peer: string;
    readonly migration: string;
    readonly from_state: string;
    readonly to_state: string;
    readonly reason: string;
    readonly at: string;
    readonly received_at: string;
  };
  /** How far each peer's ledger was read for them. */
  readonly keys_reports_read: { readonly peer: string; readonly seq: number };
  /** Every use of a key, one hash chain for the CSP. */
  readonly keys_uses: {
    readonly n: number;
    readonly at: string;
    readonly key: string;
    readonly version: number;
    readonly arrival: number;
    readonly operation: string;
    readonly principal: string;
    readonly context: string;
    readonly reason: string;
    readonly prev: string;
    readonly digest: string;
  };
  /** One row: the end of that chain, and the lock that orders it. */
  readonly keys_uses_head: { readonly id: number; readonly n: number; readonly digest: string };
  readonly keys_consumers: { readonly key: string; readonly consumer: string; readonly added_at: string };
  readonly keys_deposits: {
    readonly migration: string;
    readonly epoch: number;
    readonly tenant: string;
    readonly handover: string;
    readonly context: string;
    readonly data: string;
    readonly kek_version: number;
    readonly secrets: string | null;
    readonly state: string;
    readonly deposit: string | null;
    readonly acknowledged: string | null;
    readonly release: string | null;
    readonly changed_at: string;
  };
  readonly keys_imports: {
    readonly migration: string;
    readonly epoch: number;
    readonly tenant: string;
    readonly public_key: string;
    readonly kek_version: number;
    readonly private_key: string | null;
    /** Digest of the public key while the private one is in the token: until it is destroyed there, too. */
    readonly token_key: string | null;
    readonly state: string;
    readonly handover: string | null;
    readonly deposit: string | null;
    readonly deposit_data: string | null;
    readonly acknowledgement: string | null;
    readonly release: string | null;
    readonly changed_at: string;
  };
};

export type KeysDb = Kysely<KeysTables>;
export type KeysTx = Transaction<KeysTables>;

/** The store's connection or transaction, seeing this lib's tables only. */
export const onKeys = (db: Db): KeysDb => db.$extendTables<KeysTables>();
export const inTransaction = (tx: Tx): KeysTx => tx.$extendTables<KeysTables>();
