import type { Postgres } from '@carnet/dev';
import { Pool } from 'pg';

/** An event as it stands in one side's database. */
export type Row = {
  readonly digest: string;
  readonly publisher: string;
  readonly audience: string;
  readonly seq: number;
  readonly type: string;
  readonly migration: string | null;
  readonly void_code: string | null;
};

/** Looks this often into a database whose server may be dead. */
const LOOK_MS = 25;
const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

/** A new session costs PostgreSQL 80 ms of a core: one is kept while questions follow each other. It ends with its server. */
const SESSION_MS = 1_000;
/** A server that is stopped accepts, and does not answer. */
const ANSWER_MS_MAX = 20_000;
const pools = new WeakMap<Postgres, Pool>();

function poolOf(database: Postgres): Pool {
  const known = pools.get(database);
  if (known !== undefined) return known;
  const pool = new Pool({
    connectionString: database.url,
    connectionTimeoutMillis: ANSWER_MS_MAX,
    query_timeout: ANSWER_MS_MAX,
    idleTimeoutMillis: SESSION_MS,
    allowExitOnIdle: true,
  });
  // Of a session that waits: its server was killed.
  pool.on('error', () => undefined);
  pools.set(database, pool);
  return pool;
}

/** Asks a server that must answer. */
export async function rowsOf<T extends object>(
  database: Postgres,
  text: string,
  values: readonly unknown[] = [],
): Promise<readonly T[]> {
  return (await poolOf(database).query<T>(text, [...values])).rows;
}

/** Both ledgers as this side holds them, in order. */
export const ledgerRows = (database: Postgres): Promise<readonly Row[]> =>
  rowsOf<Row>(
    database,
    'select digest, publisher, audience, seq::int as seq, type, migration, void_code from events order by publisher, audience, seq',
  );

const hasEvent = async (database: Postgres, migration: string, type: string): Promise<boolean> =>
  (await rowsOf(database, 'select 1 from events where migration = $1 and type = $2 limit 1', [migration, type])).length > 0;

/** Resolves the moment (within a look) that an event of this type stands in the database; rejects after `msMax`. */
export async function eventAppears(database: Postgres, migration: string, type: string, msMax: number): Promise<void> {
  const untilMs = performance.now() + msMax;
  while (performance.now() < untilMs) {
    if (await hasEvent(database, migration, type).catch(() => false)) return;
    await pause(LOOK_MS);
  }
  throw new Error(`${type} of ${migration} did not appear within ${msMax} ms`);
}

/** How much these migrations have said, as this side holds it. */
export async function saidOf(database: Postgres, migrations: readonly string[]): Promise<number> {
  const text = 'select count(*)::int as n from events where migration = any($1)';
  const [row] = await rowsOf<{ readonly n: number }>(database, text, [migrations]);
  return row?.n ?? 0;
}
