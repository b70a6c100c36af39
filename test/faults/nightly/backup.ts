import { execFileSync } from 'node:child_process';
import { join } from 'node:path';
import { eventually } from '@carnet/dev';
import { rowsOf } from '../harness/ledger-db.ts';
import type { RealSide } from '../harness/real-side.ts';
import { type Blow, type Hit, hit, missed } from './blow.ts';
import { fieldOf, linesFromNow } from './log.ts';

const ANSWERED_MS_MAX = 30_000;
const ENTERED = 'own ledgers are quarantined';
const LEFT = 'the peer told what it holds of us: this ledger leaves quarantine';

const dataOf = ({ csp }: RealSide): string => join(csp.paths.database, 'data');

export function copyWhole(from: string, to: string): void {
  execFileSync('rm', ['-rf', to]);
  // With its owner: PostgreSQL has an account of its own.
  execFileSync('cp', ['-a', from, to]);
}

/** Cold, as an administrator makes one: the server is stopped, and its files are copied. */
export async function backUp(side: RealSide): Promise<void> {
  const { broker, database } = side.csp;
  await broker.stop();
  await database.stop();
  copyWhole(dataOf(side), `${dataOf(side)}.backup`);
  await database.restart();
  await broker.restart();
}

/** Events of either ledger in this database, and up to where the bus has acknowledged our own. */
type Held = { readonly events: number; readonly own: number; readonly told: number };
async function heldBy({ database, plan }: RealSide): Promise<Held> {
  const [row] = await rowsOf<Held>(
    database,
    `select (select count(*)::int from events) as events, head_seq::int as own, acked_seq::int as told
       from ledgers where publisher = $1`,
    [plan.domain],
  );
  if (row === undefined) throw new Error(`${plan.domain} has no ledger`);
  return row;
}

export type Loss = { readonly events: number; readonly told: number };

/** A database that lost what others were told must have been in quarantine until its peer had answered: nothing else heals it honestly. */
export function judgeRestore({ events, told }: Loss, why: string | undefined, left: number): Hit {
  if (events === 0) return missed('the backup held every event');
  if (why === undefined && told > 0) throw new Error(`${told} events that were told were lost, and nothing was quarantined`);
  if (why === undefined) return hit(`lost ${events} events, none of them told`);
  if (left === 0) throw new Error(`quarantined (${why}), and no answer of the peer ended it`);
  return hit(`lost ${events} events, ${told} of them told; quarantined: ${why}`);
}

/** The machine is lost, and what is brought back is the backup. What a broker keeps outside of its database stays. */
export async function restoreBackup(side: RealSide): Promise<Blow> {
  const { broker, database, paths } = side.csp;
  await broker.kill('SIGKILL');
  const before = await heldBy(side);
  await database.stop();
  copyWhole(`${dataOf(side)}.backup`, dataOf(side));
  execFileSync('rm', ['-rf', `${dataOf(side)}.backup`]);
  await database.restart();
  const after = await heldBy(side);
  const loss = { events: before.events - after.events, told: Math.max(0, before.told - after.own) };
  const lines = linesFromNow(paths.brokerLog);
  await broker.restart();
  return { ...hit(), seen: () => whatItSaid(lines, loss) };
}

async function whatItSaid(lines: (text: string) => readonly string[], loss: Loss): Promise<Hit> {
  const [entered] = lines(ENTERED);
  if (entered === undefined) return judgeRestore(loss, undefined, 0);
  const left = await eventually('the end of a quarantine', () => lines(LEFT).length || undefined, ANSWERED_MS_MAX).catch(() => 0);
  return judgeRestore(loss, fieldOf(entered, 'why') ?? entered, left);
}
