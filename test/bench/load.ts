import { setTimeout as sleep } from 'node:timers/promises';
import { eventually, stopEverything } from '@carnet/dev';
import { type Clouds, startClouds } from '../faults/harness/clouds.ts';
import { holdReceiving, letReceive } from '../faults/harness/held.ts';
import { rowsOf } from '../faults/harness/ledger-db.ts';
import { intend, type Vm } from '../faults/harness/moves.ts';
import { between } from '../faults/harness/waits.ts';
import { HEAP_MIB, mustBeBounded } from './heap.ts';
import { bareHops } from './intent-limit.ts';
import { cpuOf, residentOf } from './processes.ts';
import { type BenchCase, type BenchResult, benchCase, P50_P99, type Series, say, waits } from './result.ts';
import { createVms } from './vms.ts';

export interface LoadBenchOptions {
  /** Migrations active in the end, those that release included. */
  readonly active?: number;
  /** Of them: how many release at once. */
  readonly releasing?: number;
  /** Of them: how many ran one after the other before all others. */
  readonly runs?: number;
  /** Seconds of rest before memory is read. */
  readonly rest?: number;
}

/** Asked for together: a scheduler that empties a host. Their offers last for a minute. */
const INTENTS_AT_ONCE = 50;
const REACHED_MS_MAX = 300_000;
/** Nobody finalizes before: who has arrived stays active. */
const ROLLBACK_SECONDS = 14_400;
/** Two looks at each open journey, in seconds. */
const REST_SECONDS = 30;

type Both = Pick<Clouds, 'a' | 'b'>;
type Times = { readonly migration: string; readonly type: string; readonly ms: number };

/** Resolves when `count` migrations have an event of this type in B's database. */
const reached = (clouds: Both, type: string, count: number): Promise<true> =>
  eventually(
    `${count} × ${type}`,
    async () => {
      mustBeBounded(clouds);
      const [row] = await rowsOf<{ readonly n: number }>(
        clouds.b.database,
        'select count(distinct migration)::int as n from events where type = $1',
        [type],
      );
      return (row?.n ?? 0) >= count ? true : undefined;
    },
    REACHED_MS_MAX,
  );

/** All arrive at B and stay there, their sources not retired. */
async function arrive(clouds: Clouds, vms: readonly Vm[], before: number): Promise<readonly string[]> {
  const migrations: string[] = [];
  for (let begun = 0; begun < vms.length; begun += INTENTS_AT_ONCE) {
    const some = vms.slice(begun, begun + INTENTS_AT_ONCE);
    migrations.push(...(await Promise.all(some.map((vm) => intend(clouds.a, clouds.b, vm, 'cold')))));
    await reached(clouds, 'VmHealthy', before + migrations.length);
    if (some.length > 1) say(`${before + migrations.length} have arrived`);
  }
  return migrations;
}

async function oneByOne(clouds: Clouds, vms: readonly Vm[]): Promise<readonly string[]> {
  const migrations: string[] = [];
  for (const vm of vms) migrations.push(...(await arrive(clouds, [vm], migrations.length)));
  return migrations;
}

/** All wait for B's word on their image; then its host receives them all, and each key is released and imported. */
async function releaseAtOnce(clouds: Clouds, vms: readonly Vm[], before: number): Promise<readonly string[]> {
  holdReceiving(clouds.b.paths.agentState);
  const migrations = await Promise.all(vms.map((vm) => intend(clouds.a, clouds.b, vm, 'cold')));
  await reached(clouds, 'ImageSealed', before + vms.length);
  letReceive(clouds.b.paths.agentState);
  await reached(clouds, 'VmHealthy', before + vms.length);
  return migrations;
}

/** The most that were released and not yet imported at one moment. */
async function mostAtOnce({ b }: Both, migrations: readonly string[]): Promise<number> {
  const rows = await rowsOf<Times>(
    b.database,
    `select migration, type, extract(epoch from time::timestamptz)::float8 * 1000 as ms from events
      where migration = any($1) and type in ('KeyReleased', 'KeyImported') order by ms, type desc`,
    [migrations],
  );
  let [now, most] = [0, 0];
  for (const { type } of rows) {
    now += type === 'KeyReleased' ? 1 : -1;
    most = Math.max(most, now);
  }
  return most;
}

const memorySeries = (name: string, { nowMiB, peakMiB }: ReturnType<typeof residentOf>, remark: string): Series => ({
  name,
  values: [nowMiB],
  median: nowMiB,
  peakMiB,
  remark,
});

async function averageBytes({ b }: Both, type: string): Promise<number> {
  const [row] = await rowsOf<{ readonly bytes: number }>(
    b.database,
    'select avg(length(envelope))::int as bytes from events where type = $1',
    [type],
  );
  return row?.bytes ?? 0;
}

/** Latencies of what was released at once, beside the same alone, and beside one bare hop of a message as long. */
async function latencies(
  clouds: Clouds,
  alone: readonly string[],
  crowd: readonly string[],
  active: number,
): Promise<readonly BenchCase[]> {
  const hops = await bareHops(clouds, [await averageBytes(clouds, 'KeyReleased')]);
  const bare = await hops.take(crowd.length, crowd.length);
  await hops.close();
  const ours = await between(clouds.b, crowd, 'KeyReleased', 'KeyImported');
  const single = await between(clouds.b, alone, 'KeyReleased', 'KeyImported');
  const most = await mostAtOnce(clouds, crowd);
  const name = `key's release to its import, ${crowd.length} at once, ${active} active`;
  return P50_P99.map(([label, at]) =>
    benchCase(
      `${name}, ${label}`,
      'ms',
      'lower',
      waits('carnet', ours, at, `${most} were released and not imported at one moment`),
      [
        waits('the same, one at a time, none other active', single, at, `${single.length} migrations`),
        waits('limit: a bare hop, as many at once', bare, at, 'insert, commit, JetStream, insert, commit'),
      ],
    ),
  );
}

/**
 * Many migrations active between two clouds whose hypervisors are pretended, all else real, and some of them at the point where a
 * key is released, at one moment. Active: arrived at B, the window of rolling back open, so that both brokers still owe something.
 */
export async function loadBench(options: LoadBenchOptions = {}): Promise<BenchResult> {
  const { active = 500, releasing = 50, runs = 10, rest = REST_SECONDS } = options;
  try {
    const clouds = await startClouds({
      heapMiB: HEAP_MIB,
      broker: (text) =>
        text
          .replace('rollbackWindowSeconds = 0', `rollbackWindowSeconds = ${ROLLBACK_SECONDS}`)
          .replace('level = "debug"', 'level = "info"'),
      // Every held image takes a place at its host.
      agent: (text) => `stepsAtOnce = 64\n${text}`,
    });
    const sides = [clouds.a, clouds.b] as const;
    await sleep(rest * 1_000);
    const idle = sides.map(({ broker }) => residentOf(broker.pid));
    say(`two clouds are up; creating ${active} VMs`);
    const vms = await createVms(clouds.a, active);
    say(`${runs} migrations, one after the other`);
    const alone = await oneByOne(clouds, vms.slice(0, runs));
    say(`${active - releasing - runs} more, ${INTENTS_AT_ONCE} at a time`);
    const startedMs = performance.now();
    await arrive(clouds, vms.slice(runs, active - releasing), runs);
    const seconds = (performance.now() - startedMs) / 1_000;
    say(`${releasing} at once`);
    const cpuBefore = sides.map(({ broker }) => cpuOf(broker.pid));
    const crowd = await releaseAtOnce(clouds, vms.slice(active - releasing), active - releasing);
    const cpu = sides.map(({ broker }, side) => cpuOf(broker.pid) - (cpuBefore[side] ?? 0));
    const cases = await latencies(clouds, alone, crowd, active);
    await sleep(rest * 1_000);
    const loaded = sides.map(({ broker }) => residentOf(broker.pid));
    return {
      name: 'load',
      cases: [...cases, arrivals(active - releasing - runs, seconds, cpu, releasing), ...memory(active, idle, loaded)],
    };
  } finally {
    await stopEverything();
  }
}

function arrivals(count: number, seconds: number, [a = 0, b = 0]: readonly number[], releasing: number): BenchCase {
  const rate = count / seconds;
  const remark = `CPU: what both brokers took for the ${releasing} at once`;
  const ours: Series = {
    name: 'carnet',
    values: [rate],
    median: rate,
    cpuSeconds: a + b,
    cpuOfEnds: { source: a, target: b },
    remark,
  };
  return benchCase(`whole migrations until the VM is healthy at B, ${INTENTS_AT_ONCE} at a time`, '/s', 'higher', ours, []);
}

type Resident = ReturnType<typeof residentOf>;

function memory(active: number, idle: readonly Resident[], loaded: readonly Resident[]): readonly BenchCase[] {
  return (['A', 'B'] as const).flatMap((side, index) => {
    const [before, after] = [idle[index], loaded[index]];
    if (before === undefined || after === undefined) return [];
    return [
      benchCase(
        `memory of ${side}’s broker with ${active} active`,
        'MiB',
        'lower',
        memorySeries('carnet', after, 'resident at rest; peak of the whole run'),
        [memorySeries('the same broker with none', before, 'after its start')],
      ),
    ];
  });
}
