import { keyId } from '@carnet/events';
import type { KeyPorts } from '../ports.ts';
import { findArrival, type Replaces, replaces } from '../records/holding.ts';
import { isDestroyed, keyState } from '../records/states.ts';
import type { KeysDb } from '../records/tables.ts';
import { keepSpare } from './keep.ts';
import { fileNameOf, type SpareName } from './spare.ts';

export type SparesSettled = { readonly made: number; readonly erased: number };

/** A row as far as its spare is concerned. `kekVersion`: absent while there is no key in it. */
type Row = Replaces & { readonly replaces?: Replaces; readonly kekVersion?: number; readonly isDestroyed: boolean };

const textOf = ({ key, version, arrival }: Replaces): string => `${key} ${version} ${arrival}`;

/**
 * Makes this replica's spares say what our rows say: one for each key that came by a migration or took the place of one, under the KEK of now; none of
 * a key that is destroyed, by whichever replica. A spare without a row stays: the row may be what was lost. Idempotent; run it again and again.
 */
export async function settleSpares(ports: Pick<KeyPorts, 'db' | 'spares' | 'durable'>): Promise<SparesSettled> {
  const { db, spares } = ports;
  // Before the rows are read: the spare of a transaction that has not committed yet is one without a row.
  const kept = new Map((await spares.list()).map((name) => [fileNameOf(name), name]));
  const rows = await rowsOf(db);
  const wanted = new Map(
    rows.flatMap((row) =>
      row.isDestroyed || row.kekVersion === undefined ? [] : [[fileNameOf({ ...row, kekVersion: row.kekVersion }), row] as const],
    ),
  );
  let made = 0;
  for (const [file, { kekVersion, ...name }] of wanted) {
    if (kept.has(file)) continue;
    const held = await findArrival(db, name, name.arrival);
    // Destroyed, or moved to another KEK meanwhile: next time.
    if (held === undefined || held.wrapped?.kekVersion !== kekVersion) continue;
    await keepSpare(ports, db, held);
    made += 1;
  }
  const over = new Set([...kept].filter(([file, name]) => !wanted.has(file) && isOver(name, rows)).map(([file]) => file));
  if (over.size === 0) return { made, erased: 0 };
  await ports.durable();
  return { made, erased: await spares.erase((name) => over.has(fileNameOf(name))) };
}

/** Its key is destroyed, lies under another KEK by now, or another key was recorded in the place that it was made for. */
function isOver(name: SpareName, rows: readonly Row[]): boolean {
  const own = rows.find((row) => textOf(row) === textOf(name));
  if (own !== undefined) return own.isDestroyed || own.kekVersion !== undefined;
  const { replaces: of } = name;
  return of !== undefined && rows.some((row) => row.replaces !== undefined && textOf(row.replaces) === textOf(of));
}

async function rowsOf(db: KeysDb): Promise<readonly Row[]> {
  const rows = await db
    .selectFrom('keys_holdings')
    .select(['key', 'version', 'arrival', 'kek_version', 'state', 'replaces'])
    .where((e) => e.or([e('arrival', '>', 0), e('replaces', 'is not', null)]))
    .execute();
  return rows.map((row) => ({
    key: keyId.parse(row.key),
    version: row.version,
    arrival: row.arrival,
    isDestroyed: isDestroyed(keyState.parse(row.state)),
    ...(row.kek_version === null ? {} : { kekVersion: row.kek_version }),
    ...(row.replaces === null ? {} : { replaces: replaces.parse(JSON.parse(row.replaces)) }),
  }));
}
