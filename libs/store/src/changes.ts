import { sql } from 'kysely';
import { type Migration, type MigrationProvider, Migrator } from 'kysely/migration';
import { StoreError } from './error.ts';
import type { Db, Store } from './store.ts';

/** One change of a lib's tables. Never edited once released: a new one follows. */
export type Change = {
  /**
   * `<owner>-<number>-<what>`, e.g. `journal-001-ledgers`; all of one owner are given at once, in order. `<owner>-<number>-contract-<what>`
   * takes something away that an older program may still use; any other only adds, so that older programs serve on beside it.
   */
  readonly name: string;
  readonly up: (db: Db) => Promise<void>;
};

const NAME = /^([a-z]+)-\d{3}-[a-z0-9-]+$/;
const CONTRACT = /^[a-z]+-\d{3}-contract-/;

/**
 * Brings one owner's tables up to date, under a lock, in one transaction. Each owner has a record of its own
 * (`changes_<owner>`), so that libs come and go in a database without knowing each other. What a newer program added is left alone.
 * @throws StoreError SCHEMA_NEWER when a newer program took something away; CHANGES_FAILED, CHANGES_INVALID
 */
export async function runChanges(store: Pick<Store, 'db'>, changes: readonly Change[]): Promise<void> {
  const owner = ownerOf(changes);
  for (let { run, newer } = await recorded(store, owner, changes); ; ) {
    // The record only grows: what is in it needs no lock to be seen.
    if (changes.every(({ name }) => run.has(name))) return;
    const failure = await migrate(store, owner, changes, newer);
    if (failure === undefined) return;
    const since = await recorded(store, owner, changes);
    if (since.newer.length === newer.length) throw failure;
    // A newer program came between the look and the lock.
    ({ run, newer } = since);
  }
}

async function migrate(
  { db }: Pick<Store, 'db'>,
  owner: string,
  changes: readonly Change[],
  newer: readonly string[],
): Promise<StoreError | undefined> {
  const provider: MigrationProvider = {
    getMigrations: async () =>
      Object.fromEntries([
        ...changes.map(({ name, up }): [string, Migration] => [name, { up }]),
        // Known as done, so that the migrator does not miss them.
        ...newer.map((name): [string, Migration] => [name, { up: async () => undefined }]),
      ]),
  };
  const migrator = new Migrator({
    db,
    provider,
    migrationTableName: recordOf(owner),
    migrationLockTableName: `${recordOf(owner)}_lock`,
  });
  const { error, results } = await migrator.migrateToLatest();
  if (error === undefined) return undefined;
  const failed = results?.find(({ status }) => status === 'Error')?.migrationName ?? owner;
  return new StoreError('CHANGES_FAILED', `${failed}: ${error instanceof Error ? error.message : String(error)}`, {
    cause: error,
  });
}

const recordOf = (owner: string): string => `changes_${owner}`;

type Recorded = {
  readonly run: ReadonlySet<string>;
  /** Those that this program does not know, in order. */
  readonly newer: readonly string[];
};

/** What was done to this owner's tables so far. @throws StoreError SCHEMA_NEWER */
async function recorded({ db }: Pick<Store, 'db'>, owner: string, changes: readonly Change[]): Promise<Recorded> {
  const table = recordOf(owner);
  const found = await sql<{ readonly found: boolean }>`select to_regclass(${table}) is not null as found`.execute(db);
  if (found.rows[0]?.found !== true) return { run: new Set(), newer: [] };
  const known = new Set(changes.map(({ name }) => name));
  const { rows } = await sql<{ readonly name: string }>`select name from ${sql.table(table)} order by name`.execute(db);
  const run = new Set(rows.map(({ name }) => name));
  const newer = [...run].filter((name) => !known.has(name));
  const contract = newer.find((name) => CONTRACT.test(name));
  if (contract !== undefined) throw new StoreError('SCHEMA_NEWER', contract);
  return { run, newer };
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
