import { spawn } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { cpus } from 'node:os';
import { stopEverything } from '@carnet/dev';
import type { Cloud } from '../faults/harness/cloud.ts';
import { type Clouds, startClouds } from '../faults/harness/clouds.ts';
import { CSP_C, type Flooder, genuineIntent, openFlooder } from '../faults/harness/flooder.ts';
import { rowsOf } from '../faults/harness/ledger-db.ts';
import { createVm, intend, settled, type Vm } from '../faults/harness/moves.ts';
import { between } from '../faults/harness/waits.ts';
import { HEAP_MIB, mustBeBounded } from './heap.ts';
import { residentOf } from './processes.ts';
import { type BenchCase, type BenchResult, benchCase, P50_P99, type Series, say, waits } from './result.ts';

export interface FloodBenchOptions {
  /** Moves from A to B, and as many back, in each part. */
  readonly runs?: number;
  /** Good intents of C to A, and as many to B. */
  readonly intents?: number;
  /** Messages of 64 KiB on C's ledger to A, and as many where C and A talk. */
  readonly garbage?: number;
}

/** Moving at one moment: a scheduler that is in no hurry. */
const MOVING = 2;
const SETTLED_MS_MAX = 600_000;
const GARBAGE_BYTES = 65_536;

type Moves = { readonly release: readonly number[]; readonly whole: readonly number[] };
type Part = 'nothing' | 'computing' | 'intents' | 'garbage' | 'silence';
const ABOUT: Readonly<Record<Part, string>> = {
  nothing: 'C says nothing',
  computing: 'a program that computes on each processor, no flood',
  intents: 'C’s intents',
  garbage: 'C’s 64 KiB messages',
  silence: 'C is silent, its backlog is worked on',
};

/** There and back again, `MOVING` VMs at a time. */
async function moveAll(clouds: Clouds, vms: readonly Vm[]): Promise<readonly string[]> {
  const { a, b } = clouds;
  const migrations: string[] = [];
  const left = [...vms];
  const one = async (): Promise<void> => {
    for (let vm = left.shift(); vm !== undefined; vm = left.shift())
      for (const [from, to] of [
        [a, b],
        [b, a],
      ] as const) {
        const migration = await intend(from, to, vm, 'cold');
        migrations.push(migration);
        await settled(clouds, migration, SETTLED_MS_MAX);
        mustBeBounded(clouds);
      }
  };
  await Promise.all(Array.from({ length: MOVING }, one));
  return migrations;
}

async function timed(clouds: Clouds, vms: readonly Vm[], part: Part): Promise<Moves> {
  say(`${vms.length * 2} moves, ${ABOUT[part]}`);
  const migrations = await moveAll(clouds, vms);
  return {
    release: await between(clouds.a, migrations, 'KeyReleased', 'KeyImported'),
    whole: await between(clouds.a, migrations, 'MigrationIntended', 'SourceRetired'),
  };
}

const NAMES = { release: 'key’s release to its import', whole: 'intent to the source’s retirement' } as const;

/** Both quantiles of each wait, with and without: above 1 the flood costs nothing. */
const latencies = (quiet: Moves, flooded: Moves, part: Part): readonly BenchCase[] =>
  (['release', 'whole'] as const).flatMap((what) =>
    P50_P99.map(([label, at]) =>
      benchCase(
        `${NAMES[what]}, A and B, ${ABOUT[part]}, ${label}`,
        'ms',
        'lower',
        waits('beside it', flooded[what], at, `${flooded[what].length} moves, ${MOVING} at a time`),
        [waits('without', quiet[what], at, `${quiet[what].length} moves`)],
      ),
    ),
  );

const once = (name: string, value: number, remark?: string): Series => ({
  name,
  values: [value],
  median: value,
  ...(remark === undefined ? {} : { remark }),
});

/** What became of C's intents at one victim: placed here or still on the bus, answered how. */
async function fates({ database, plan, paths }: Cloud, sent: number): Promise<BenchCase> {
  const rows = await rowsOf<{ readonly type: string; readonly code: string | null; readonly n: number }>(
    database,
    `select type, code, count(*)::int as n from (select type, convert_from(decode(convert_from(envelope, 'utf8')::json->>'payload', 'base64'), 'utf8')::json->'data'->'reasons'->0->>'code' as code
       from events where $1 in (publisher, audience) and type in ('MigrationIntended', 'MigrationOffered', 'MigrationRefused')) e group by 1, 2`,
    [CSP_C],
  );
  const of = (type: string): number => rows.filter((row) => row.type === type).reduce((sum, { n }) => sum + n, 0);
  const placed = of('MigrationIntended');
  const codes = rows.flatMap(({ type, code, n }) => (type === 'MigrationRefused' ? [`${n} ${code}`] : []));
  const said = readFileSync(paths.brokerLog, 'utf8').match(/"code":"PEER_RATE_LIMITED"[^}]*"by":"(\w+)"/g) ?? [];
  const limited = [...new Set(said.map((line) => line.split('"by":"')[1]?.replace('"', '')))].join(', ');
  return {
    name: `of ${sent} intents at ${plan.key.toUpperCase()} when its moves are done`,
    unit: 'intents',
    better: 'higher',
    ours: once('offered', of('MigrationOffered')),
    peers: [
      once('refused', of('MigrationRefused'), codes.join(', ')),
      once('placed, no answer yet', placed - of('MigrationOffered') - of('MigrationRefused')),
      once('left on the bus', sent - placed, limited === '' ? '' : `PEER_RATE_LIMITED by ${limited}`),
    ],
    // Neither is better: what is not one is another.
    ratios: {},
  };
}

type Resident = { readonly before: ReturnType<typeof residentOf>; readonly after: ReturnType<typeof residentOf> };

const memory = ({ before, after }: Resident): BenchCase => {
  const series = (name: string, { nowMiB, peakMiB }: ReturnType<typeof residentOf>): Series => ({
    name,
    values: [nowMiB],
    median: nowMiB,
    peakMiB,
  });
  return benchCase('memory of A’s broker', 'MiB', 'lower', series('after the floods', after), [series('before', before)]);
};

async function during<T>(work: Promise<unknown>, measured: () => Promise<T>): Promise<T> {
  const [value] = await Promise.all([measured(), work]);
  return value;
}

/** Until whoever started it has ended. */
const COMPUTES = 'const parent = process.ppid; while (process.ppid === parent);';

/** What moves lose where somebody else is busy, who has nothing to do with them: each processor has a program of its own for as long. */
async function besideComputing<T>(measured: () => Promise<T>): Promise<T> {
  const programs = cpus().map(() => spawn(process.execPath, ['-e', COMPUTES], { stdio: 'ignore' }));
  try {
    return await measured();
  } finally {
    for (const program of programs) program.kill('SIGKILL');
  }
}

async function garbage(c: Flooder, a: Cloud, count: number): Promise<void> {
  await Promise.all([c.garbage(a, 'ledger', count, GARBAGE_BYTES), c.garbage(a, 'talk', count, GARBAGE_BYTES)]);
}

/** Two clouds that move VMs between them while a third, a member in good standing, does its worst. */
export async function floodBench({
  runs = 20,
  intents = 10_000,
  garbage: messages = 2_000,
}: FloodBenchOptions = {}): Promise<BenchResult> {
  try {
    const clouds = await startClouds({
      heapMiB: HEAP_MIB,
      third: CSP_C,
      broker: (text) => text.replace('level = "debug"', 'level = "info"'),
    });
    const { a, b } = clouds;
    const vms: Vm[] = [];
    for (let n = 0; n < runs; n += 1) vms.push(await createVm(a));
    const before = residentOf(a.broker.pid);
    const nothing = await timed(clouds, vms, 'nothing');
    const computed = await besideComputing(() => timed(clouds, vms, 'computing'));
    const c = await openFlooder(clouds, CSP_C, await genuineIntent(a));
    say(`signing ${intents} intents for each`);
    const shots = [...c.intents(a, intents), ...c.intents(b, intents)];
    const asked = await during(c.fire(shots), () => timed(clouds, vms, 'intents'));
    const answered = [await fates(a, intents), await fates(b, intents)];
    const noisy = await during(garbage(c, a, messages), () => timed(clouds, vms, 'garbage'));
    const silent = await timed(clouds, vms, 'silence');
    const cases = [
      ...latencies(nothing, computed, 'computing'),
      ...latencies(nothing, asked, 'intents'),
      ...latencies(nothing, noisy, 'garbage'),
      ...latencies(nothing, silent, 'silence'),
      ...answered,
      memory({ before, after: residentOf(a.broker.pid) }),
    ];
    await c.close();
    return { name: 'flood', cases };
  } finally {
    await stopEverything();
  }
}
