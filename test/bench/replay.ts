import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { promisify } from 'node:util';
import type { Once, Reading } from './replay-once.ts';
import { replayDatabase } from './replay-store.ts';
import { type BenchCase, type BenchResult, benchCase, median, type Series } from './result.ts';

export interface ReplayBenchOptions {
  /** Interleaved runs of each way. */
  readonly runs?: number;
  /** Of both ledgers together. */
  readonly events?: number;
}

type Contender = { readonly name: string; readonly reading: Reading; readonly remark: string };

const RAW: Contender = { name: 'raw reading', reading: 'raw', remark: 'all columns of all rows, nothing done with them' };
const INLINE: Contender = { name: 'no head', reading: 'no-head', remark: 'each signature, chain, schema and cause; folded' };
const HEAD: Contender = { name: 'one verified head', reading: 'head', remark: 'coveredBy over the whole ledger, read twice' };
const OTHERS: readonly Contender[] = [
  { name: 'no head, signatures in threads', reading: 'no-head-threads', remark: 'libuv’s four threads verify three pages ahead' },
  { name: 'one verified head, compared last', reading: 'head-last', remark: 'read once; void unless the chain ends in the head' },
  { name: 'journal.ledger()', reading: 'journal', remark: 'parsed by schema, nothing verified or folded' },
];

const run = promisify(execFile);

async function once(url: string, reading: Reading): Promise<Once> {
  const { stdout } = await run(process.execPath, [join(import.meta.dirname, 'replay-once.ts'), reading, url]);
  return JSON.parse(stdout);
}

/**
 * Verifies and folds a pair of ledgers out of a real PostgreSQL, beside reading the same rows and nothing else. Each run is a new
 * process; all ways take turns, round by round, so that a noisy minute hits everyone alike.
 */
export async function replayBench({ runs = 3, events = 100_000 }: ReplayBenchOptions = {}): Promise<BenchResult> {
  const database = await replayDatabase(events);
  try {
    const contenders = [RAW, INLINE, HEAD, ...OTHERS];
    const taken = contenders.map((): Once[] => []);
    for (let round = 0; round < runs; round++)
      for (const [index, { reading }] of contenders.entries()) taken[index]?.push(await once(database.url, reading));
    const series = contenders.map((contender, index) => seriesOf(contender, taken[index] ?? [], events));
    return { name: 'replay', cases: casesOf(series, events) };
  } finally {
    await database.stop();
  }
}

function seriesOf({ name, remark }: Contender, runs: readonly Once[], expected: number): Series {
  for (const { events } of runs) if (events !== expected) throw new Error(`${name}: expected ${expected} events, got ${events}`);
  const values = runs.map(({ events, seconds }) => events / seconds);
  return {
    name,
    values,
    median: median(values),
    cpuSeconds: median(runs.map(({ cpuSeconds }) => cpuSeconds)),
    peakMiB: Math.max(...runs.map(({ peakMiB }) => peakMiB)),
    remark,
  };
}

function casesOf(series: readonly Series[], events: number): readonly BenchCase[] {
  const [raw, inline, head, ...others] = series;
  if (raw === undefined || inline === undefined || head === undefined) throw new Error('expected raw, inline and head');
  return [
    benchCase(`verify and fold ${events} events, no verified head`, 'events/s', 'higher', inline, [raw, ...others.slice(0, 1)]),
    benchCase(`verify and fold ${events} events, one verified head`, 'events/s', 'higher', head, [
      raw,
      inline,
      ...others.slice(1),
    ]),
  ];
}
