import { setTimeout as sleep } from 'node:timers/promises';
import { eventually, stopEverything } from '@carnet/dev';
import { Client } from 'pg';
import type { Replica } from '../faults/harness/cloud.ts';
import { type Clouds, startClouds } from '../faults/harness/clouds.ts';
import { createVm, intend, settled, type Vm } from '../faults/harness/moves.ts';
import { type BenchCase, type BenchResult, benchCase, P50_P99, say, waits } from './result.ts';

export interface FailoverBenchOptions {
  /** How often a replica is killed. */
  readonly runs?: number;
}

/** Migrations under way when the replica dies. */
const MOVING = 8;
const LOOK_MS = 5;
/** The replica dies at another moment of the migrations in each run. */
const LATER_MS = 37;
const TAKEN_OVER_MS_MAX = 60_000;
const SETTLED_MS_MAX = 120_000;

/** A journey whose lease the dead replica held, and when the other recorded the event that was owed next. */
type TakenOver = { readonly vm: string; readonly ms: number };
type Killed = { readonly freedMs: number; readonly journeys: readonly TakenOver[] };

/** A's database as an observer of leases and of A's own events. */
async function openWatcher(url: string, self: string, peer: string) {
  const client = new Client({ connectionString: url });
  client.on('error', () => undefined);
  await client.connect();
  return {
    /** Sessions whose last word was about a lease: one for each replica. */
    leaseSessions: async (): Promise<readonly number[]> => {
      const { rows } = await client.query<{ readonly pid: number }>(
        `select pid from pg_stat_activity where application_name = 'carnet-broker' and query like 'select pg_%advisory%'`,
      );
      return rows.map(({ pid }) => pid);
    },
    /** Which of these VMs' journeys a session holds. */
    held: async (session: number, vms: readonly string[]): Promise<readonly string[]> => {
      const { rows } = await client.query<{ readonly vm: string }>(
        `select vm from unnest($2::text[]) vm join pg_locks l
           on (l.classid::bigint << 32) | l.objid::bigint = hashtextextended('carnet journey ' || vm || ' ' || $3, 0)
          where l.locktype = 'advisory' and l.granted and l.pid = $1`,
        [session, vms, peer],
      );
      return rows.map(({ vm }) => vm);
    },
    isGone: async (session: number): Promise<boolean> =>
      (await client.query('select 1 from pg_locks where pid = $1', [session])).rowCount === 0,
    /** A's own events of each VM: how many, and whether the last of all is among them. */
    said: async (vms: readonly string[]): Promise<ReadonlyMap<string, { readonly count: number; readonly ended: boolean }>> => {
      const { rows } = await client.query<{ readonly vm: string; readonly count: number; readonly ended: boolean }>(
        `select i.vm, count(*)::int as count, bool_or(e.type = 'SourceRetired') as ended from events i join events e using (migration)
          where i.vm = any($1) and e.publisher = $2 group by i.vm`,
        [vms, self],
      );
      return new Map(rows.map((row) => [row.vm, row]));
    },
    close: () => client.end(),
  };
}
type Watcher = Awaited<ReturnType<typeof openWatcher>>;

/** The lease session of whoever is not `other`. */
const sessionBeside = (watcher: Watcher, other: number | undefined): Promise<number> =>
  eventually('a replica that took a lease', async () => (await watcher.leaseSessions()).find((pid) => pid !== other));

/** Stops the process in its tracks while it holds leases of these, and says which: what it held when it died is then known. */
async function catchHolding(pid: number, watcher: Watcher, session: number, vms: readonly string[]): Promise<readonly string[]> {
  for (;;) {
    if ((await watcher.held(session, vms)).length > 0) {
      process.kill(pid, 'SIGSTOP');
      const held = await watcher.held(session, vms);
      const said = await watcher.said(vms);
      const owing = held.filter((vm) => said.get(vm)?.ended !== true);
      if (owing.length > 0) return owing;
      process.kill(pid, 'SIGCONT');
    }
    await sleep(LOOK_MS);
  }
}

/** `kill -9`, and the time until the other replica has recorded the next event of each journey that the dead one was at. */
async function killHolder({ a }: Clouds, watcher: Watcher, session: number, vms: readonly string[]): Promise<Killed> {
  const held = await catchHolding(a.broker.pid, watcher, session, vms);
  const before = await watcher.said(held);
  const startedMs = performance.now();
  const since = (): number => performance.now() - startedMs;
  process.kill(a.broker.pid, 'SIGKILL');
  let freedMs: number | undefined;
  const journeys: TakenOver[] = [];
  while (journeys.length < held.length) {
    if (since() > TAKEN_OVER_MS_MAX) throw new Error(`not taken over: ${held.length - journeys.length} journeys`);
    if (freedMs === undefined && (await watcher.isGone(session))) freedMs = since();
    const now = await watcher.said(held);
    for (const vm of held) {
      const isNew = (now.get(vm)?.count ?? 0) > (before.get(vm)?.count ?? 0);
      if (isNew && !journeys.some((one) => one.vm === vm)) journeys.push({ vm, ms: since() });
    }
    await sleep(LOOK_MS);
  }
  return { freedMs: freedMs ?? since(), journeys };
}

async function once(clouds: Clouds, replica: Replica, watcher: Watcher, survivor: number, run: number): Promise<Killed> {
  const vms: readonly Vm[] = await Promise.all(Array.from({ length: MOVING }, () => createVm({ ...clouds.a, api: replica.api })));
  const session = await sessionBeside(watcher, survivor);
  const migrations = await Promise.all(vms.map((vm) => intend(clouds.a, clouds.b, vm, 'cold', replica.api)));
  await sleep(run * LATER_MS);
  const killed = await killHolder(
    clouds,
    watcher,
    session,
    vms.map(({ vm }) => vm),
  );
  const asked = { a: { api: replica.api }, b: clouds.b };
  for (const migration of migrations) {
    const { outcome } = await settled(asked, migration, SETTLED_MS_MAX);
    if (outcome !== 'done') throw new Error(`expected a migration that is done, got ${outcome}`);
  }
  await clouds.a.broker.restart();
  return killed;
}

function casesOf(killed: readonly Killed[]): readonly BenchCase[] {
  const ours = killed.flatMap(({ journeys }) => journeys.map(({ ms }) => ms));
  const freed = killed.map(({ freedMs }) => freedMs);
  return P50_P99.map(([label, at]) =>
    benchCase(
      `a replica killed with kill -9 until the other has recorded the next event of what it held, ${label} of ${ours.length} journeys`,
      'ms',
      'lower',
      waits('carnet', ours, at, `${killed.length} kills; an upper bound: what the peer had to say first is in it`),
      [waits('limit: PostgreSQL gives up the dead one’s leases', freed, at, 'they have no length: the session’s end is theirs')],
    ),
  );
}

/** Two replicas of A's broker over one database; the one that holds leases dies, again and again, in the middle of migrations. */
export async function failoverBench({ runs = 12 }: FailoverBenchOptions = {}): Promise<BenchResult> {
  try {
    const clouds = await startClouds({ broker: (text) => text.replace('level = "debug"', 'level = "info"') });
    const watcher = await openWatcher(clouds.a.database.url, clouds.a.plan.domain, clouds.b.plan.domain);
    const replica = await clouds.a.startReplica();
    // Alone, it takes the first lease: so its session is known.
    await clouds.a.broker.stop();
    const vm = await createVm({ ...clouds.a, api: replica.api });
    await settled(
      { a: { api: replica.api }, b: clouds.b },
      await intend(clouds.a, clouds.b, vm, 'cold', replica.api),
      SETTLED_MS_MAX,
    );
    const survivor = await sessionBeside(watcher, undefined);
    await clouds.a.broker.restart();
    const killed: Killed[] = [];
    for (let run = 0; run < runs; run += 1) {
      killed.push(await once(clouds, replica, watcher, survivor, run));
      say(
        `kill ${run + 1}: ${killed
          .at(-1)
          ?.journeys.map(({ ms }) => `${Math.round(ms)} ms`)
          .join(', ')}`,
      );
    }
    await watcher.close();
    return { name: 'failover', cases: casesOf(killed) };
  } finally {
    await stopEverything();
  }
}
