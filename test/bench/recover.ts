import { execFile } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { stopEverything } from '@carnet/dev';
import { ledgerStream } from '@carnet/events';
import { connectNats } from '@carnet/journal';
import { jetstream } from '@nats-io/jetstream';
import type { HeadFile } from '../../libs/journal/src/head-file.ts';
import { openOutbox } from '../../libs/journal/src/outbox.ts';
import type { Tables } from '../../libs/journal/src/tables.ts';
import { busAddress, type Clouds, startClouds } from '../faults/harness/clouds.ts';
import { rowsOf } from '../faults/harness/ledger-db.ts';
import { cpuOf, residentOf } from './processes.ts';
import type { Once, Reading } from './replay-once.ts';
import { EVENTS_PER_MIGRATION, openBenchStore } from './replay-store.ts';
import { type BenchCase, type BenchResult, benchCase, median, type Series, say } from './result.ts';
import { seedLedgers, startUntilShown } from './seeded-broker.ts';

export interface RecoverBenchOptions {
  /** Restarts that find remembered what had ended. The first start, which finds nothing, is one. */
  readonly runs?: number;
  /** Of both ledgers together, about. */
  readonly events?: number;
  /** Migrations that are open, and therefore looked at by every start. */
  readonly active?: number;
}

/** The reader that verifies all keeps every journey: 6 KB an event. Beyond so many events it is left out. */
const VERIFIED_EVENTS_MAX = 200_000;
/** Until the target's verification of their image. */
const EVENTS_PER_ACTIVE = 9;
const execute = promisify(execFile);

type Start = {
  readonly readySeconds: number;
  readonly seconds: number;
  readonly cpuSeconds: number;
  readonly peakMiB: number;
  readonly databaseCpuSeconds: number;
};

/** CPU of every process of a database, those of sessions that ended among them. */
const databaseCpu = ({ database }: Clouds['a']): number =>
  cpuOf(database.pid) +
  readFileSync(`/proc/${database.pid}/task/${database.pid}/children`, 'utf8')
    .trim()
    .split(' ')
    .reduce((sum, pid) => sum + cpuOf(Number(pid)), 0);

async function start(a: Clouds['a'], count: number): Promise<Start> {
  await a.broker.stop();
  const before = databaseCpu(a);
  const { readySeconds, seconds } = await startUntilShown(a, count);
  const { pid } = a.broker;
  say(
    `ready after ${readySeconds.toFixed(1)} s, all looked at after ${seconds.toFixed(1)} s, ${Math.round(residentOf(pid).peakMiB)} MiB`,
  );
  return {
    readySeconds,
    seconds,
    cpuSeconds: cpuOf(pid),
    peakMiB: residentOf(pid).peakMiB,
    databaseCpuSeconds: databaseCpu(a) - before,
  };
}

/** The events of this ledger were put into the database by hand: nothing outside of it says where it ends. */
const NOTHING_KEPT: HeadFile = {
  read: async () => ({ told: null, events: [] }),
  known: () => null,
  told: () => null,
  isFull: () => false,
  isLarge: () => false,
  keep: async () => undefined,
  covered: async () => undefined,
};

/** The bus holds the end of A's ledger: whoever compares finds nothing to fill, and a start is only a start. */
async function busHoldsTheEnd({ a, b, pki, bus }: Clouds): Promise<void> {
  const [self, peer] = [a.plan.domain, b.plan.domain];
  const store = await openBenchStore(a.database.url);
  const connection = await connectNats(busAddress(pki, bus, self, 'broker'));
  try {
    const outbox = openOutbox(
      { db: store.db.$extendTables<Tables>(), options: { self }, roster: { peers: [peer] } },
      peer,
      NOTHING_KEPT,
    );
    const { head_seq } = await outbox.marks();
    for (const { subject, envelope, digest } of await outbox.after(head_seq - 1, 1))
      await jetstream(connection).publish(subject, envelope, { msgID: digest, expect: { streamName: ledgerStream(self, peer) } });
    await outbox.acked(head_seq);
    await outbox.readBack(head_seq);
  } finally {
    await connection.close();
    await store.close();
  }
}

async function readAll(url: string, reading: Reading): Promise<Once> {
  const { stdout } = await execute(process.execPath, [join(import.meta.dirname, 'replay-once.ts'), reading, url]);
  return JSON.parse(stdout);
}

const ofReading = (name: string, once: Once, remark: string): Series => ({
  name,
  values: [once.seconds],
  median: once.seconds,
  cpuSeconds: once.cpuSeconds,
  peakMiB: once.peakMiB,
  remark,
});

function ofStarts(name: string, starts: readonly Start[]): Series {
  const of = (key: keyof Start): number => median(starts.map((one) => one[key]));
  return {
    name,
    values: starts.map(({ seconds }) => seconds),
    median: of('seconds'),
    cpuSeconds: of('cpuSeconds'),
    peakMiB: Math.max(...starts.map(({ peakMiB }) => peakMiB)),
    remark: `ready after ${of('readySeconds').toFixed(1)} s; the database took ${of('databaseCpuSeconds').toFixed(1)} CPU s`,
  };
}

/**
 * How long a broker takes to find what it owes, out of ledgers of this length: A's own broker, PostgreSQL and bus; the ledgers are
 * signed and stored as its journal would have, not run; the target is away.
 */
export async function recoverBench(options: RecoverBenchOptions = {}): Promise<BenchResult> {
  const { runs = 3, events = 100_000, active = 500 } = options;
  const finished = Math.max(1, Math.ceil((events - 2 - active * EVENTS_PER_ACTIVE) / EVENTS_PER_MIGRATION));
  try {
    const clouds = await startClouds({ broker: (text) => text.replace('level = "debug"', 'level = "info"') });
    const { a, b } = clouds;
    await Promise.all([b.broker.stop(), b.agent.stop(), a.broker.stop()]);
    const empty = await start(a, 0);
    await a.broker.stop();
    say(`signing and storing ${events} events`);
    const stored = await seedLedgers(a, { finished, active });
    await rowsOf(a.database, 'vacuum analyze events');
    await busHoldsTheEnd(clouds);
    say('the first start');
    const first = await start(a, finished + active);
    const again: Start[] = [];
    for (let run = 0; run < runs; run += 1) {
      say(`restart ${run + 1}`);
      await rowsOf(a.database, 'delete from views_migrations where not ended');
      again.push(await start(a, finished + active));
    }
    await a.broker.stop();
    say('every row read; every signature verified and every event folded');
    const raw = await readAll(a.database.url, 'raw');
    const verified = stored > VERIFIED_EVENTS_MAX ? undefined : await readAll(a.database.url, 'no-head');
    return { name: 'recover', cases: casesOf({ stored, finished, active, empty, first, again, raw, verified }) };
  } finally {
    await stopEverything();
  }
}

type Measured = {
  readonly stored: number;
  readonly finished: number;
  readonly active: number;
  readonly empty: Start;
  readonly first: Start;
  readonly again: readonly Start[];
  readonly raw: Once;
  readonly verified: Once | undefined;
};

function casesOf({ stored, finished, active, empty, first, again, raw, verified }: Measured): readonly BenchCase[] {
  const peers = [
    ofStarts('the same broker with empty ledgers', [empty]),
    ofReading('every row read and dropped', raw, 'one reader, nothing done with them'),
    ...(verified === undefined
      ? []
      : [ofReading('every event verified and folded', verified, 'signature, chain, schema, causes; `replay`, no head')]),
  ];
  return [
    benchCase(
      `restart with ${stored} events until each of ${active} open migrations was looked at, what ended remembered`,
      's',
      'lower',
      ofStarts('carnet', again),
      [ofStarts('nothing remembered', [first]), ...peers],
    ),
    benchCase(
      `start with ${stored} events, all ${finished + active} migrations folded, nothing remembered`,
      's',
      'lower',
      ofStarts('carnet', [first]),
      peers,
    ),
  ];
}
