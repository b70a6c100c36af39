import type { Change, Db, Tx } from '@carnet/store';
import type { CreateTableBuilder, Kysely, Transaction } from 'kysely';

/** As everywhere in this lib: JSON as text, byte for byte as it was committed; times as RFC 3339 text. Envelopes are DSSE. */
export type EscrowTables = {
  /** The newest sealing key of each custodian, and the statement that vouches for it. */
  readonly keys_custodians: {
    readonly custodian: string;
    readonly public_key: string;
    readonly envelope: string;
    readonly certificate: string;
    readonly enrolled_at: string;
  };
  readonly keys_escrows: {
    readonly escrow: string;
    readonly key: string;
    readonly version: number;
    readonly arrival: number;
    /** `current`, or `superseded` by a later dealing. */
    readonly state: string;
    readonly manifest: string;
    readonly digest: string;
    /** Sealed shares, in the order of the seats. */
    readonly shares: string;
    readonly created_at: string;
  };
  readonly keys_escrow_drills: {
    readonly drill: string;
    readonly escrow: string;
    readonly envelope: string;
    readonly digest: string;
    readonly not_after: string;
    readonly conclusion: string | null;
  };
  readonly keys_escrow_proofs: {
    readonly drill: string;
    readonly custodian: string;
    readonly envelope: string;
    readonly certificate: string;
    readonly digest: string;
  };
  readonly keys_recoveries: {
    readonly recovery: string;
    readonly escrow: string;
    readonly asker: string;
    readonly ask: string;
    readonly certificate: string;
    readonly envelope: string;
    readonly digest: string;
    readonly not_after: string;
    /** `open`, `recovered` or `expired`. */
    readonly state: string;
    /** Null once it has ended: what was given for it opens no more. */
    readonly private_key: string | null;
    readonly outcome: string | null;
  };
  readonly keys_recovery_approvals: {
    readonly recovery: string;
    readonly person: string;
    readonly custodian: string;
    readonly envelope: string;
    readonly certificate: string;
    readonly digest: string;
  };
  /** What each peer is owed an event about; `told`: when it was appended to its ledger. */
  readonly keys_escrow_news: {
    readonly n: number;
    readonly statement: string;
    readonly peer: string;
    readonly type: string;
    readonly data: string;
    readonly told: string | null;
  };
};

type Columns = Readonly<Record<string, 'text' | 'integer' | 'text or null'>>;

export const ESCROW_CHANGES: readonly Change[] = [
  {
    name: 'escrow-001-tables',
    up: async (db) => {
      const table = async (name: string, keys: readonly string[], columns: Columns) => {
        let building: CreateTableBuilder<string, string> = db.schema.createTable(name);
        for (const [column, kind] of Object.entries(columns))
          building = building.addColumn(column, kind === 'integer' ? 'integer' : 'text', (c) =>
            kind === 'text or null' ? c : c.notNull(),
          );
        await building.addPrimaryKeyConstraint(`${name}_pk`, [...keys]).execute();
      };
      const text = 'text';
      await table('keys_custodians', ['custodian'], {
        custodian: text,
        public_key: text,
        envelope: text,
        certificate: text,
        enrolled_at: text,
      });
      await table('keys_escrows', ['escrow'], {
        escrow: text,
        key: text,
        version: 'integer',
        arrival: 'integer',
        state: text,
        manifest: text,
        digest: text,
        shares: text,
        created_at: text,
      });
      await table('keys_escrow_drills', ['drill'], {
        drill: text,
        escrow: text,
        envelope: text,
        digest: text,
        not_after: text,
        conclusion: 'text or null',
      });
      await table('keys_escrow_proofs', ['drill', 'custodian'], {
        drill: text,
        custodian: text,
        envelope: text,
        certificate: text,
        digest: text,
      });
      await table('keys_recoveries', ['recovery'], {
        recovery: text,
        escrow: text,
        asker: text,
        ask: text,
        certificate: text,
        envelope: text,
        digest: text,
        not_after: text,
        state: text,
        private_key: 'text or null',
        outcome: 'text or null',
      });
      await table('keys_recovery_approvals', ['recovery', 'person'], {
        recovery: text,
        person: text,
        custodian: text,
        envelope: text,
        certificate: text,
        digest: text,
      });
      await table('keys_escrow_news', ['statement', 'peer'], {
        n: 'integer',
        statement: text,
        peer: text,
        type: text,
        data: text,
        told: 'text or null',
      });
      await db.schema.alterTable('keys_holdings').addColumn('recovered', 'text').execute();
      await db.schema.alterTable('keys_keks').addColumn('lost_at', 'text').execute();
    },
  },
];

export type EscrowDb = Kysely<EscrowTables>;
export type EscrowTx = Transaction<EscrowTables>;
export const onEscrow = (db: Db): EscrowDb => db.$extendTables<EscrowTables>();
export const inEscrow = (tx: Tx): EscrowTx => tx.$extendTables<EscrowTables>();
