import { existsSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir, userInfo } from 'node:os';
import { join } from 'node:path';
import { type Postgres, startPostgres } from '@carnet/dev';
import { openStore, runChanges, type Store } from '@carnet/store';
import type { LedgerState } from '@carnet/trust';
import { sql } from 'kysely';
import { advanceLedger, ensureLedgers, type JournalDb } from '../../libs/journal/src/ledgers.ts';
import { type EventRow, journalChanges, type Tables } from '../../libs/journal/src/tables.ts';
import { CSP_A, CSP_B } from '../../libs/saga/src/testing.ts';
import { keyOf } from '../../libs/trust/src/testing/ledger.ts';
import { ledgerPair } from './ledger-pair.ts';

/** Counted up when what is generated changes: an older cache is then not used. */
const GENERATION = 1;
/** Rows of one insert. One array for each column: a statement with a parameter for each value costs four times as much. */
const ROWS_AT_ONCE = 1_000;
/** Whoever waits for a million events sees that they come. */
const TOLD_EVERY = 100_000;
/** A fixed time, so that the same events cost the same in each run. */
const START_MS = Date.parse('2026-11-01T00:00:00.000Z');
/** Of a whole cold migration, on both ledgers. */
export const EVENTS_PER_MIGRATION = 17;

const quiet = { info: () => undefined, warn: () => undefined };
export const openBenchStore = (url: string): Promise<Store> => openStore({ url, log: quiet, applicationName: 'carnet-bench' });

/** Stores rows of two ledgers as the journal of `self` would have: events, heads, keys; and all of it told and acknowledged. */
export async function storePair(store: Store, rows: Iterable<EventRow>, states: () => readonly LedgerState[]): Promise<number> {
  const db = store.db.$extendTables<Tables>();
  let [count, waiting]: [number, EventRow[]] = [0, []];
  // The database stores one page while the next is signed.
  let storing: Promise<unknown> = Promise.resolve();
  const flush = async (): Promise<void> => {
    await storing;
    if (waiting.length > 0) storing = insertAll(db, waiting);
    count += waiting.length;
    waiting = [];
    if (count % TOLD_EVERY === 0 && count > 0) process.stderr.write(`${count} events stored\n`);
  };
  for (const row of rows) {
    waiting.push(row);
    if (waiting.length === ROWS_AT_ONCE) await flush();
  }
  await flush();
  await storing;
  await db.transaction().execute(async (tx) => {
    for (const state of states()) await advanceLedger(tx, state);
  });
  return count;
}

/** Column and its type. `id` and the like are texts of their own brands. */
const COLUMNS: Readonly<Record<keyof EventRow, string>> = {
  digest: 'text',
  publisher: 'text',
  audience: 'text',
  seq: 'int8',
  id: 'text',
  type: 'text',
  migration: 'text',
  epoch: 'int4',
  vm: 'text',
  time: 'text',
  placed_at: 'text',
  void_code: 'text',
  envelope: 'bytea',
};
const NAMES = Object.keys(COLUMNS).filter((name): name is keyof EventRow => Object.hasOwn(COLUMNS, name));

function insertAll(db: JournalDb, rows: readonly EventRow[]): Promise<unknown> {
  const arrays = NAMES.map((name) => sql`${rows.map((row) => row[name])}::${sql.raw(COLUMNS[name])}[]`);
  return sql`insert into events (${sql.raw(NAMES.join())}) select * from unnest(${sql.join(arrays)})`.execute(db);
}

/**
 * A PostgreSQL with a ledger pair of `events` events (the last migration may stand open). Its directory stays for the next run,
 * which then starts at once: 280 MB for 100,000 events.
 */
export async function replayDatabase(events: number): Promise<Postgres> {
  const dir = join(tmpdir(), `carnet-replay-${GENERATION}-${events}-${userInfo().uid}`);
  const complete = `${dir}.complete`;
  if (!existsSync(complete)) rmSync(dir, { recursive: true, force: true });
  const database = await startPostgres({ dir });
  if (existsSync(complete)) return database;
  process.stderr.write(`generating ${events} events in ${dir}, once\n`);
  const store = await openBenchStore(database.url);
  await runChanges(store, journalChanges);
  await ensureLedgers(store.db.$extendTables<Tables>(), CSP_A, [CSP_B]);
  const pair = ledgerPair({ signers: { a: keyOf(1), b: keyOf(2) }, startMs: START_MS });
  await storePair(store, upTo(events, pair), pair.states);
  await store.close();
  writeFileSync(complete, '');
  return database;
}

function* upTo(events: number, pair: ReturnType<typeof ledgerPair>): Generator<EventRow> {
  let left = events;
  const migrations = Math.ceil(events / EVENTS_PER_MIGRATION) + 1;
  for (const rows of [pair.announcements(), pair.migrations(migrations)])
    for (const row of rows) {
      yield row;
      left -= 1;
      // Asked only now: one more event would be in the head, and not in the table.
      if (left === 0) return;
    }
}
