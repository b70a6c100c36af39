import type { Change } from '@carnet/store';

/** Holdings whose DEK was put, or was about to be put, into Barbican. A row goes when no secret of it is left there. */
export const BARBICAN_CHANGES: readonly Change[] = [
  {
    name: 'barbican-001-secrets',
    up: async (db) => {
      await db.schema.alterTable('keys_holdings').addColumn('secret', 'text').execute();
      await db.schema
        .createTable('keys_secrets')
        .addColumn('key', 'text', (c) => c.notNull())
        .addColumn('version', 'integer', (c) => c.notNull())
        .addColumn('arrival', 'integer', (c) => c.notNull())
        .addColumn('tenant', 'text', (c) => c.notNull())
        .addColumn('announced_at', 'text', (c) => c.notNull())
        .addColumn('settled', 'text')
        .addPrimaryKeyConstraint('keys_secrets_pk', ['key', 'version', 'arrival'])
        .execute();
    },
  },
];
