import type { Cloud } from './cloud.ts';
import { rowsOf } from './ledger-db.ts';

/** Milliseconds between two events of each migration, by the times that the brokers wrote into them: one machine, one clock. */
export async function between(
  { database }: Pick<Cloud, 'database'>,
  migrations: readonly string[],
  from: string,
  to: string,
): Promise<readonly number[]> {
  const rows = await rowsOf<{ readonly ms: number }>(
    database,
    `select (extract(epoch from max(time::timestamptz) filter (where type = $3)) - extract(epoch from min(time::timestamptz) filter (where type = $2)))::float8 * 1000 as ms
      from events where migration = any($1) group by migration`,
    [migrations, from, to],
  );
  return rows.map(({ ms }) => ms);
}
