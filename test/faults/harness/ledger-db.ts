import type { Postgres } from '@carnet/dev';
import { Client } from 'pg';

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

/** Runs one query on a connection of its own; a server that is being killed shows as `undefined`. */
async function ask<T extends object>(
  database: Postgres,
  text: string,
  values: readonly unknown[] = [],
): Promise<readonly T[] | undefined> {
  const client = new Client({ connectionString: database.url, connectionTimeoutMillis: 5_000 });
  client.on('error', () => undefined);
  try {
    await client.connect();
    return (await client.query<T>(text, [...values])).rows;
  } catch {
    return undefined;
  } finally {
    await client.end().catch(() => undefined);
  }
}

/** The same, from a server that must answer. */
export async function rowsOf<T extends object>(
  database: Postgres,
  text: string,
  values: readonly unknown[] = [],
): Promise<readonly T[]> {
  const client = new Client({ connectionString: database.url });
  await client.connect();
  try {
    return (await client.query<T>(text, [...values])).rows;
  } finally {
    await client.end();
  }
}

/** Both ledgers as this side holds them, in order. */
export const ledgerRows = (database: Postgres): Promise<readonly Row[]> =>
  rowsOf<Row>(
    database,
    'select digest, publisher, audience, seq::int as seq, type, migration, void_code from events order by publisher, audience, seq',
  );

/** Resolves the moment (within a look) that an event of this type stands in the database; rejects after `msMax`. */
export async function eventAppears(database: Postgres, migration: string, type: string, msMax: number): Promise<void> {
  const untilMs = performance.now() + msMax;
  while (performance.now() < untilMs) {
    const found = await ask(database, 'select 1 from events where migration = $1 and type = $2 limit 1', [migration, type]);
    if (found !== undefined && found.length > 0) return;
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
