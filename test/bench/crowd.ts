import { setTimeout as sleep } from 'node:timers/promises';
import { eventually, stopEverything } from '@carnet/dev';
import { type Clouds, startClouds } from '../faults/harness/clouds.ts';
import { holdReceiving, letReceive } from '../faults/harness/held.ts';
import { rowsOf } from '../faults/harness/ledger-db.ts';
import { intend } from '../faults/harness/moves.ts';
import { between } from '../faults/harness/waits.ts';
import { HEAP_MIB, mustBeBounded } from './heap.ts';
import { residentOf } from './processes.ts';
import { type BenchResult, benchCase, P50_P99, type Series, say, waits } from './result.ts';
import { createVms } from './vms.ts';

export interface CrowdBenchOptions {
  /** Migrations asked for in one moment. */
  readonly active?: number;
  /** How many of them stand before the key's release when all are let go. */
  readonly releasing?: number;
  /** Seconds of rest before memory is read. */
  readonly rest?: number;
}

/** Longer than the whole run: nobody is measured who gave up. */
const SECONDS = 14_400;
const REACHED_MS_MAX = 3_600_000;
const REST_SECONDS = 30;
/** Of the doors: connections of one client that ask at once. */
const ASKED_AT_ONCE = 50;

/** The migrations that have an event of this type in B's database, once there are so many. */
const reached = (clouds: Clouds, type: string, count: number): Promise<readonly string[]> =>
  eventually(
    `${count} × ${type}`,
    async () => {
      await sleep(1_000);
      mustBeBounded(clouds);
      const rows = await rowsOf<{ readonly migration: string }>(
        clouds.b.database,
        'select distinct migration from events where type = $1',
        [type],
      );
      return rows.length >= count ? rows.map(({ migration }) => migration) : undefined;
    },
    REACHED_MS_MAX,
  );

/** How far they all are at this moment: how many have last said what. */
async function whereTheyStand({ b }: Clouds): Promise<string> {
  const rows = await rowsOf<{ readonly type: string; readonly n: number }>(
    b.database,
    `select type, count(*)::int as n from (select distinct on (migration) migration, type from events where migration is not null
       order by migration, time::timestamptz desc) last group by 1 order by 2 desc`,
  );
  return rows.map(({ type, n }) => `${n} ${type}`).join(', ');
}

async function intendAll({ a, b }: Clouds, active: number): Promise<void> {
  const vms = await createVms(a, active);
  for (let at = 0; at < vms.length; at += ASKED_AT_ONCE)
    await Promise.all(vms.slice(at, at + ASKED_AT_ONCE).map((vm) => intend(a, b, vm, 'cold')));
}

const memoryOf = (name: string, { nowMiB, peakMiB }: ReturnType<typeof residentOf>): Series => ({
  name,
  values: [nowMiB],
  median: nowMiB,
  peakMiB,
});

/**
 * All are asked for in one moment, and all move. B's host holds images up until so many stand there; then those are let go at once,
 * and all others go on behind, beside and before them: nothing waits for a window, and nothing is held any more.
 */
export async function crowdBench({
  active = 500,
  releasing = 50,
  rest = REST_SECONDS,
}: CrowdBenchOptions = {}): Promise<BenchResult> {
  try {
    const clouds = await startClouds({
      heapMiB: HEAP_MIB,
      broker: (text) =>
        text
          .replace(/offerSeconds = \d+/, `offerSeconds = ${SECONDS}`)
          .replace(/deadlineSeconds = \d+/, `deadlineSeconds = ${2 * SECONDS}`)
          .replace('[migration]', `[migration]\nunansweredOffers = ${2 * active}`)
          .replace('level = "debug"', 'level = "info"'),
      agent: (text) => `stepsAtOnce = 64\n${text}`,
    });
    const sides = [clouds.a, clouds.b] as const;
    await sleep(rest * 1_000);
    const idle = sides.map(({ broker }) => residentOf(broker.pid));
    say(`two clouds are up; creating ${active} VMs`);
    holdReceiving(clouds.b.paths.agentState);
    await intendAll(clouds, active);
    const startedMs = performance.now();
    const crowd = await reached(clouds, 'ImageSealed', releasing);
    const stand = await whereTheyStand(clouds);
    say(`${crowd.length} are let go at once, of ${active}: ${stand}`);
    letReceive(clouds.b.paths.agentState);
    const all = await reached(clouds, 'SourceRetired', active);
    const seconds = (performance.now() - startedMs) / 1_000;
    const [ofCrowd, ofAll] = [
      await between(clouds.b, crowd, 'KeyReleased', 'KeyImported'),
      await between(clouds.b, all, 'KeyReleased', 'KeyImported'),
    ];
    await sleep(rest * 1_000);
    const loaded = sides.map(({ broker }) => residentOf(broker.pid));
    const rate: Series = { name: 'carnet', values: [all.length / seconds], median: all.length / seconds };
    return {
      name: 'crowd',
      cases: [
        ...P50_P99.map(([label, at]) =>
          benchCase(
            `key's release to its import, ${crowd.length} let go at once, ${active} active and moving, ${label}`,
            'ms',
            'lower',
            waits('carnet', ofCrowd, at, stand),
            [waits('the same of all', ofAll, at, `${all.length} migrations`)],
          ),
        ),
        benchCase('whole migrations, all asked for in one moment', '/s', 'higher', rate, []),
        ...(['A', 'B'] as const).flatMap((side, i) => {
          const [before, after] = [idle[i], loaded[i]];
          if (before === undefined || after === undefined) return [];
          return [
            benchCase(`memory of ${side}’s broker`, 'MiB', 'lower', memoryOf('after them; peak of the whole run', after), [
              memoryOf('before the first', before),
            ]),
          ];
        }),
      ],
    };
  } finally {
    await stopEverything();
  }
}
