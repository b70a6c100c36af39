import { type Migration, type MigrationProvider, Migrator } from 'kysely/migration';
import { StoreError } from './error.ts';
import type { Db, Store } from './store.ts';

/** One change of a lib's tables. Never edited once released: a new one follows. */
export type Change = {
  /** `<owner>-<number>-<what>`, e.g. `journal-001-ledgers`; all of one owner are given at once, in order. */
  readonly name: string;
  readonly up: (db: Db) => Promise<void>;
};

const NAME = /^([a-z]+)-\d{3}-[a-z0-9-]+$/;

/**
 * Brings one owner's tables up to date, under a lock, in one transaction. Each owner has a record of its own
 * (`changes_<owner>`), so that libs come and go in a database without knowing each other.
 */
export async function runChanges(store: Pick<Store, 'db'>, changes: readonly Change[]): Promise<void> {
  const owner = ownerOf(changes);
  const provider: MigrationProvider = {
    getMigrations: async () => Object.fromEntries(changes.map(({ name, up }): [string, Migration] => [name, { up }])),
  };
  const migrator = new Migrator({
    db: store.db,
    provider,
    migrationTableName: `changes_${owner}`,
    migrationLockTableName: `changes_${owner}_lock`,
  });
  const { error, results } = await migrator.migrateToLatest();
  if (error === undefined) return;
  const failed = results?.find(({ status }) => status === 'Error')?.migrationName ?? owner;
  throw new StoreError('CHANGES_FAILED', `${failed}: ${error instanceof Error ? error.message : String(error)}`, {
    cause: error,
  });
}

function ownerOf(changes: readonly Change[]): string {
  const names = changes.map(({ name }) => name);
  const owner = NAME.exec(names[0] ?? '')?.[1];
  if (owner === undefined) throw new StoreError('CHANGES_INVALID', `expected <owner>-<3 digits>-<what>, got ${names[0]}`);
  names.forEach((name, i) => {
    const before = names[i - 1];
    if (NAME.exec(name)?.[1] !== owner || (before !== undefined && before >= name))
      throw new StoreError('CHANGES_INVALID', `${name} after ${before} in the changes of ${owner}`);
  });
  return owner;
}
