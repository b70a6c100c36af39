import { stopEverything } from '@carnet/dev';
import { type Clouds, startClouds } from '../faults/harness/clouds.ts';
import { intend, settled, type Vm } from '../faults/harness/moves.ts';
import { AGREEMENT_BYTES, bareHops } from './intent-limit.ts';
import { brokerMemory } from './intent-memory.ts';
import { type Observer, observe } from './intent-observer.ts';
import { type BenchCase, type BenchResult, benchCase, P50_P99, say, waits } from './result.ts';
import { createVms } from './vms.ts';

export interface IntentBenchOptions {
  /** Migrations one after the other, each to its end before the next begins. */
  readonly runs?: number;
  /** Finished migrations that the broker's database holds when its memory is read. */
  readonly finished?: number;
}

const AT_ONCE = 100;
const ACTIVE = 500;
const AGREED_MS_MAX = 120_000;
const SETTLED_MS_MAX = 120_000;

/** One intent: from the request at A until B's database shows that A agreed to B's offer. */
async function agree(clouds: Clouds, observer: Observer, vm: Vm): Promise<{ readonly migration: string; readonly ms: number }> {
  const askedMs = performance.now();
  const migration = await intend(clouds.a, clouds.b, vm, 'cold');
  return { migration, ms: (await observer.seen(migration, AGREED_MS_MAX)) - askedMs };
}

async function oneByOne(clouds: Clouds, observer: Observer, vms: readonly Vm[]): Promise<readonly number[]> {
  const taken: number[] = [];
  for (const vm of vms) {
    const { migration, ms } = await agree(clouds, observer, vm);
    taken.push(ms);
    await settled(clouds, migration, SETTLED_MS_MAX);
  }
  return taken;
}

/** All of them at once, and none is held up: agreeing competes with keys, images and starts of the others. */
async function allAtOnce(clouds: Clouds, observer: Observer, vms: readonly Vm[]): Promise<readonly number[]> {
  const agreed = await Promise.allSettled(vms.map((vm) => agree(clouds, observer, vm)));
  return agreed.flatMap((one) => (one.status === 'fulfilled' ? [one.value.ms] : []));
}

function latencies(atOnce: number, ours: readonly number[], bare: readonly number[], remark: string): readonly BenchCase[] {
  return P50_P99.map(([label, at]) =>
    benchCase(
      `intent at A until both sides agreed, ${atOnce} at once, ${label} of ${ours.length}`,
      'ms',
      'lower',
      waits('carnet', ours, at, remark),
      [
        waits(
          'limit: three bare hops',
          bare,
          at,
          'insert, commit, JetStream, insert, commit; nothing signed, judged or reserved',
        ),
      ],
    ),
  );
}

/** Real brokers, PostgreSQL, NATS with TLS and agents as processes; hypervisors and volumes are pretended. */
export async function intentBench({ runs = 20, finished = 10_000 }: IntentBenchOptions = {}): Promise<BenchResult> {
  try {
    const clouds = await startClouds();
    const observer = await observe(clouds.b.database.url, 'OfferAgreed');
    say(`two clouds are up; creating ${runs + AT_ONCE} VMs`);
    const vms = await createVms(clouds.a, runs + AT_ONCE);
    say(`${runs} migrations, one after the other`);
    const hops = await bareHops(clouds, AGREEMENT_BYTES);
    // In turns: bare, ours, bare, ours.
    const bareOne = await hops.take(runs, 1);
    const one = await oneByOne(clouds, observer, vms.slice(0, runs));
    say(`${AT_ONCE} migrations at once`);
    const bareMany = await hops.take(AT_ONCE, AT_ONCE);
    const many = await allAtOnce(clouds, observer, vms.slice(runs));
    await hops.close();
    await observer.close();
    say(`${finished} finished and ${ACTIVE} active migrations into A’s database`);
    const cases = [
      ...latencies(1, one, bareOne, 'each migration ends before the next begins'),
      ...latencies(AT_ONCE, many, bareMany, `${many.length} of ${AT_ONCE} agreed before their offers expired`),
      ...(await brokerMemory(clouds, { finished, active: ACTIVE })),
    ];
    return { name: 'intent', cases };
  } finally {
    await stopEverything();
  }
}
