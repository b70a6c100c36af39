import type { Ledger } from '@carnet/journal';
import type { JournalDb } from '../../libs/journal/src/ledgers.ts';
import { queries } from '../../libs/journal/src/queries.ts';
import type { Tables } from '../../libs/journal/src/tables.ts';
import { CSP_A } from '../../libs/saga/src/testing.ts';
import { LEDGERS, type Replayed, replay, type Way } from './replay-fold.ts';
import { PAGE_ROWS, pages } from './replay-reading.ts';
import { openBenchStore } from './replay-store.ts';

/**
 * `node replay-once.ts WAY URL`: reads the whole pair of ledgers once and prints one line of JSON. A process of its own for each
 * run: its peak memory is its own, and nobody's code was warmed up by another's run.
 */
export type Reading = Way | 'raw' | 'journal';
export type Once = Replayed & { readonly seconds: number; readonly cpuSeconds: number; readonly peakMiB: number };

const READINGS: Readonly<Record<Reading, (db: JournalDb) => Promise<Replayed>>> = {
  raw: (db) => readOnly((ledger) => countPages(db, ledger)),
  journal: (db) => readOnly((ledger) => countByJournal(db, ledger)),
  'no-head': (db) => replay(db, 'no-head'),
  'no-head-threads': (db) => replay(db, 'no-head-threads'),
  head: (db) => replay(db, 'head'),
  'head-last': (db) => replay(db, 'head-last'),
};
const isReading = (name: string): name is Reading => Object.hasOwn(READINGS, name);

async function readOnly(count: (ledger: Ledger) => Promise<number>): Promise<Replayed> {
  let events = 0;
  for (const ledger of LEDGERS) events += await count(ledger);
  return { events, migrationsEnded: 0 };
}

/** All columns of all rows, in order, and nothing done with them. */
async function countPages(db: JournalDb, ledger: Ledger): Promise<number> {
  let events = 0;
  for await (const { rows } of pages(db, ledger, () => null)) events += rows.length;
  return events;
}

/** As `journal.ledger` gives them: parsed by their schemas, nothing verified. */
async function countByJournal(db: JournalDb, ledger: Ledger): Promise<number> {
  const read = queries(db, CSP_A);
  for (let events = 0; ; ) {
    const page = await read.ledger(ledger, { from: events + 1, limit: PAGE_ROWS });
    if (page.length === 0) return events;
    events += page.length;
  }
}

const [reading = '', url = ''] = process.argv.slice(2);
if (!isReading(reading)) throw new Error(`expected one of ${Object.keys(READINGS)}, got ${reading}`);
const store = await openBenchStore(url);
const db = store.db.$extendTables<Tables>();
const before = process.cpuUsage();
const startedMs = performance.now();
const replayed = await READINGS[reading](db);
const seconds = (performance.now() - startedMs) / 1_000;
const { user, system } = process.cpuUsage(before);
const once: Once = {
  ...replayed,
  seconds,
  cpuSeconds: (user + system) / 1_000_000,
  peakMiB: process.resourceUsage().maxRSS / 1_024,
};
process.stdout.write(`${JSON.stringify(once)}\n`);
await store.close();
