import type { Change } from '@carnet/store';
import { LIFE_CYCLE } from './life-cycle-change.ts';

/** This lib's tables. A released change is never edited: a new one follows. */
export const KEY_CHANGES: readonly Change[] = [
  {
    name: 'keys-001-records',
    up: async (db) => {
      await db.schema
        .createTable('keys_keks')
        .addColumn('tenant', 'text', (c) => c.notNull())
        .addColumn('version', 'integer', (c) => c.notNull())
        .addColumn('wrapped', 'text', (c) => c.notNull())
        .addColumn('created_at', 'text', (c) => c.notNull())
        .addPrimaryKeyConstraint('keys_keks_pk', ['tenant', 'version'])
        .execute();
      await db.schema
        .createTable('keys_holdings')
        .addColumn('key', 'text', (c) => c.notNull())
        .addColumn('version', 'integer', (c) => c.notNull())
        .addColumn('arrival', 'integer', (c) => c.notNull())
        .addColumn('tenant', 'text', (c) => c.notNull())
        .addColumn('vm', 'text')
        .addColumn('artifact', 'text', (c) => c.notNull())
        .addColumn('kind', 'text', (c) => c.notNull())
        .addColumn('derivation', 'text', (c) => c.notNull())
        .addColumn('capacity_bytes', 'text', (c) => c.notNull())
        .addColumn('header_digest', 'text')
        .addColumn('state', 'text', (c) => c.notNull())
        .addColumn('origin', 'text', (c) => c.notNull())
        .addColumn('provenance', 'text')
        .addColumn('used_by', 'text')
        .addColumn('sealed_by', 'text')
        .addColumn('kek_version', 'integer')
        .addColumn('wrapped', 'text')
        .addColumn('created_at', 'text', (c) => c.notNull())
        .addColumn('changed_at', 'text', (c) => c.notNull())
        .addPrimaryKeyConstraint('keys_holdings_pk', ['key', 'version', 'arrival'])
        .execute();
      await db.schema
        .createTable('keys_history')
        .addColumn('key', 'text', (c) => c.notNull())
        .addColumn('version', 'integer', (c) => c.notNull())
        .addColumn('arrival', 'integer', (c) => c.notNull())
        .addColumn('position', 'integer', (c) => c.notNull())
        .addColumn('from_state', 'text')
        .addColumn('to_state', 'text', (c) => c.notNull())
        .addColumn('at', 'text', (c) => c.notNull())
        .addColumn('actor', 'text', (c) => c.notNull())
        .addColumn('reason', 'text', (c) => c.notNull())
        .addColumn('cause', 'text')
        .addPrimaryKeyConstraint('keys_history_pk', ['key', 'version', 'arrival', 'position'])
        .execute();
      await db.schema
        .createTable('keys_consumers')
        .addColumn('key', 'text', (c) => c.notNull())
        .addColumn('consumer', 'text', (c) => c.notNull())
        .addColumn('added_at', 'text', (c) => c.notNull())
        .addPrimaryKeyConstraint('keys_consumers_pk', ['key', 'consumer'])
        .execute();
    },
  },
  {
    name: 'keys-002-handover',
    up: async (db) => {
      await db.schema
        .createTable('keys_deposits')
        .addColumn('migration', 'text', (c) => c.primaryKey())
        .addColumn('epoch', 'integer', (c) => c.notNull())
        .addColumn('tenant', 'text', (c) => c.notNull())
        .addColumn('handover', 'text', (c) => c.notNull())
        .addColumn('context', 'text', (c) => c.notNull())
        .addColumn('data', 'text', (c) => c.notNull())
        .addColumn('kek_version', 'integer', (c) => c.notNull())
        .addColumn('secrets', 'text')
        .addColumn('state', 'text', (c) => c.notNull())
        .addColumn('deposit', 'text')
        .addColumn('acknowledged', 'text')
        .addColumn('release', 'text')
        .addColumn('changed_at', 'text', (c) => c.notNull())
        .execute();
      await db.schema
        .createTable('keys_imports')
        .addColumn('migration', 'text', (c) => c.primaryKey())
        .addColumn('epoch', 'integer', (c) => c.notNull())
        .addColumn('tenant', 'text', (c) => c.notNull())
        .addColumn('public_key', 'text', (c) => c.notNull())
        .addColumn('kek_version', 'integer', (c) => c.notNull())
        .addColumn('private_key', 'text')
        .addColumn('state', 'text', (c) => c.notNull())
        .addColumn('handover', 'text')
        .addColumn('deposit', 'text')
        .addColumn('deposit_data', 'text')
        .addColumn('acknowledgement', 'text')
        .addColumn('release', 'text')
        .addColumn('changed_at', 'text', (c) => c.notNull())
        .execute();
    },
  },
  {
    name: 'keys-003-replacements',
    up: async (db) => {
      await db.schema.alterTable('keys_holdings').addColumn('replaces', 'text').execute();
      // One replacement for one holding, however many replicas or attempts make one.
      await db.schema.createIndex('keys_holdings_replaces').on('keys_holdings').column('replaces').unique().execute();
    },
  },
  LIFE_CYCLE,
  {
    name: 'keys-005-migration-keys-in-a-token',
    up: async (db) => {
      await db.schema.alterTable('keys_imports').addColumn('token_key', 'text').execute();
    },
  },
];
