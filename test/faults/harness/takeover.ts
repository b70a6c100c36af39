import { readFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Daemon } from '@carnet/dev';
import type { Moved } from './checks.ts';
import type { Cloud } from './cloud.ts';
import { rowsOf } from './ledger-db.ts';

type Side = Pick<Cloud, 'database' | 'plan' | 'peer'>;

/** Whose session holds the lease of which of these VMs' journeys. $1: the VMs, $2: the peer. */
const LEASES = `select l.pid, vm from unnest($1::text[]) vm join pg_locks l
  on (l.classid::bigint << 32) | l.objid::bigint = hashtextextended('carnet journey ' || vm || ' ' || $2, 0)
 where l.locktype = 'advisory' and l.granted`;

/** What this side has said of each move, and whether all of it is over. */
const PROGRESS = `select migration, (count(*) filter (where publisher = $2 or type = 'SourceRetired'))::int as said,
  bool_or(type = 'SourceRetired') as over from events where migration = any($1) group by migration`;
type Progress = { readonly migration: string; readonly said: number; readonly over: boolean };

/** A replica that died, and how long until the other went on. */
export type Killed = {
  /** Moves that were not over. */
  readonly open: number;
  /** Until its side recorded an event of its own. */
  readonly sideMs: number;
  /** The same of each journey that the dead one held: what the peer has to say first is in it. */
  readonly heldMs: readonly number[];
};

const LOOK_MS = 50;

/** `kill -9` to one replica of a side. Returns when every journey at which either replica was has gone on. */
export async function killReplica(side: Side, replica: Daemon, moves: readonly Moved[], msMax: number): Promise<Killed> {
  const migrations = moves.map(({ migration }) => migration);
  const progress = () => rowsOf<Progress>(side.database, PROGRESS, [migrations, side.plan.domain]);
  const before = new Map((await progress()).map((row) => [row.migration, row]));
  const isOpen = (migration: string): boolean => before.get(migration)?.over !== true;
  const leases = await rowsOf<{ readonly pid: number; readonly vm: string }>(side.database, LEASES, [
    moves.filter(({ migration }) => isOpen(migration)).map(({ vm }) => vm.vm),
    side.peer.domain,
  ]);
  const startedMs = performance.now();
  await replica.kill('SIGKILL');
  const wentOn = new Map<string, number>();
  const held = leases.map(({ pid, vm }) => ({ pid, migration: moves.find((one) => one.vm.vm === vm)?.migration ?? '' }));
  while (wentOn.size === 0 || held.some(({ migration }) => !wentOn.has(migration))) {
    const sinceMs = performance.now() - startedMs;
    if (sinceMs > msMax) throw new Error(`not gone on within ${msMax} ms: ${JSON.stringify(held)}, but ${wentOn.size}`);
    for (const { migration, said } of await progress())
      if (isOpen(migration) && said > (before.get(migration)?.said ?? 0) && !wentOn.has(migration))
        wentOn.set(migration, performance.now() - startedMs);
    await sleep(LOOK_MS);
  }
  const alive = await sessionsAlive(side);
  return {
    open: migrations.filter(isOpen).length,
    sideMs: Math.min(...wentOn.values()),
    heldMs: held.flatMap(({ pid, migration }) => (alive.has(pid) ? [] : [wentOn.get(migration) ?? Number.NaN])),
  };
}

async function sessionsAlive({ database }: Side): Promise<ReadonlySet<number>> {
  const rows = await rowsOf<{ readonly pid: number }>(database, 'select pid from pg_stat_activity');
  return new Set(rows.map(({ pid }) => pid));
}

/** How many commands a replica has performed, by its own log; those that failed are not among them. */
export const commandsOf = ({ logFile }: Pick<Daemon, 'logFile'>): number =>
  readFileSync(logFile, 'utf8')
    .split('\n')
    .filter((line) => line.endsWith('"msg":"command"}')).length;
