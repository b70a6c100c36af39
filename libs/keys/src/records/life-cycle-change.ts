import { GENESIS, keyDeposited } from '@carnet/events';
import type { Change } from '@carnet/store';
import type { Kysely } from 'kysely';
import { handover } from '../context.ts';
import { lineDigest } from './chain.ts';
import type { KeysTables } from './tables.ts';

type Db = Parameters<Change['up']>[0];

/** Rotation, chained history, hand-overs by key, peers' reports, chained uses. What is there already is brought along. */
export const LIFE_CYCLE: Change = {
  name: 'keys-004-life-cycle',
  up: async (db) => {
    await rotations(db);
    await handovers(db);
    await reports(db);
    await uses(db);
    await db.schema.alterTable('keys_holdings').addColumn('image_root', 'text').execute();
    const filled = db.$extendTables<KeysTables>();
    await chainHistory(db, filled);
    await fillHandovers(filled);
  },
};

async function rotations(db: Db): Promise<void> {
  await db.schema
    .alterTable('keys_keks')
    .alterColumn('wrapped', (c) => c.dropNotNull())
    .execute();
  await db.schema.alterTable('keys_keks').addColumn('destroyed_at', 'text').execute();
  // A rotation asks after each batch what is left under older versions.
  await db.schema.createIndex('keys_holdings_by_kek').on('keys_holdings').columns(['tenant', 'kek_version']).execute();
  await db.schema
    .createTable('keys_rotations')
    .addColumn('tenant', 'text', (c) => c.notNull())
    .addColumn('version', 'integer', (c) => c.notNull())
    .addColumn('actor', 'text', (c) => c.notNull())
    .addColumn('reason', 'text', (c) => c.notNull())
    .addColumn('deks', 'integer', (c) => c.notNull())
    .addColumn('secrets', 'integer', (c) => c.notNull())
    .addColumn('started_at', 'text', (c) => c.notNull())
    .addColumn('finished_at', 'text')
    .addPrimaryKeyConstraint('keys_rotations_pk', ['tenant', 'version'])
    .execute();
}

async function handovers(db: Db): Promise<void> {
  await db.schema
    .createTable('keys_handovers')
    .addColumn('key', 'text', (c) => c.notNull())
    .addColumn('version', 'integer', (c) => c.notNull())
    .addColumn('migration', 'text', (c) => c.notNull())
    .addColumn('peer', 'text', (c) => c.notNull())
    .addColumn('direction', 'text', (c) => c.notNull())
    .addColumn('epoch', 'integer', (c) => c.notNull())
    .addPrimaryKeyConstraint('keys_handovers_pk', ['key', 'version', 'migration'])
    .execute();
}

async function reports(db: Db): Promise<void> {
  await db.schema
    .createTable('keys_announcements')
    .addColumn('line', 'text', (c) => c.notNull())
    .addColumn('peer', 'text', (c) => c.notNull())
    .addColumn('data', 'text', (c) => c.notNull())
    .addColumn('told', 'text')
    .addPrimaryKeyConstraint('keys_announcements_pk', ['line', 'peer'])
    .execute();
  await db.schema
    .createTable('keys_reports')
    .addColumn('event', 'text', (c) => c.primaryKey())
    .addColumn('key', 'text', (c) => c.notNull())
    .addColumn('version', 'integer', (c) => c.notNull())
    .addColumn('peer', 'text', (c) => c.notNull())
    .addColumn('migration', 'text', (c) => c.notNull())
    .addColumn('from_state', 'text', (c) => c.notNull())
    .addColumn('to_state', 'text', (c) => c.notNull())
    .addColumn('reason', 'text', (c) => c.notNull())
    .addColumn('at', 'text', (c) => c.notNull())
    .addColumn('received_at', 'text', (c) => c.notNull())
    .execute();
  await db.schema
    .createTable('keys_reports_read')
    .addColumn('peer', 'text', (c) => c.primaryKey())
    .addColumn('seq', 'integer', (c) => c.notNull())
    .execute();
}

async function uses(db: Db): Promise<void> {
  await db.schema
    .createTable('keys_uses')
    .addColumn('n', 'integer', (c) => c.primaryKey())
    .addColumn('at', 'text', (c) => c.notNull())
    .addColumn('key', 'text', (c) => c.notNull())
    .addColumn('version', 'integer', (c) => c.notNull())
    .addColumn('arrival', 'integer', (c) => c.notNull())
    .addColumn('operation', 'text', (c) => c.notNull())
    .addColumn('principal', 'text', (c) => c.notNull())
    .addColumn('context', 'text', (c) => c.notNull())
    .addColumn('reason', 'text', (c) => c.notNull())
    .addColumn('prev', 'text', (c) => c.notNull())
    .addColumn('digest', 'text', (c) => c.notNull())
    .execute();
  await db.schema.createIndex('keys_uses_by_key').on('keys_uses').columns(['key', 'n']).execute();
  await db.schema
    .createTable('keys_uses_head')
    .addColumn('id', 'integer', (c) => c.primaryKey())
    .addColumn('n', 'integer', (c) => c.notNull())
    .addColumn('digest', 'text', (c) => c.notNull())
    .execute();
  await db.$extendTables<KeysTables>().insertInto('keys_uses_head').values({ id: 1, n: 0, digest: GENESIS }).execute();
}

async function chainHistory(db: Db, filled: Kysely<KeysTables>): Promise<void> {
  for (const column of ['prev', 'digest'])
    await db.schema
      .alterTable('keys_history')
      .addColumn(column, 'text', (c) => c.notNull().defaultTo(''))
      .execute();
  await db.schema.alterTable('keys_history').addColumn('signature', 'text').execute();
  const lines = await filled
    .selectFrom('keys_history')
    .selectAll()
    .orderBy('key')
    .orderBy('version')
    .orderBy('arrival')
    .orderBy('position')
    .execute();
  let before: { readonly key: string; readonly version: number; readonly digest: string } | undefined;
  for (const line of lines) {
    const prev = before?.key === line.key && before.version === line.version ? before.digest : GENESIS;
    const digest = lineDigest({ ...line, prev });
    await filled
      .updateTable('keys_history')
      .set({ prev, digest })
      .where('key', '=', line.key)
      .where('version', '=', line.version)
      .where('arrival', '=', line.arrival)
      .where('position', '=', line.position)
      .execute();
    before = { key: line.key, version: line.version, digest };
  }
}

async function fillHandovers(filled: Kysely<KeysTables>): Promise<void> {
  const out = await filled.selectFrom('keys_deposits').select(['handover', 'data']).execute();
  const into = await filled.selectFrom('keys_imports').select(['handover', 'deposit_data as data']).execute();
  const rows = [
    ...out.map((row) => ({ ...row, direction: 'out' as const })),
    ...into.map((row) => ({ ...row, direction: 'in' as const })),
  ];
  for (const { handover: agreed, data, direction } of rows) {
    if (agreed === null || data === null) continue;
    const { migration, epoch, source, target } = handover.parse(JSON.parse(agreed));
    const peer = direction === 'out' ? target : source;
    for (const { key, version } of keyDeposited.parse(JSON.parse(data)).keys)
      await filled.insertInto('keys_handovers').values({ key, version, migration, peer, direction, epoch }).execute();
  }
}
