import { copyFileSync, existsSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { repositoryRoot } from '@carnet/dev';
import { rowsOf } from '../harness/ledger-db.ts';
import { consoleOf, leftAt } from '../harness/real-side.ts';
import type { Run } from './matrix.ts';
import type { Result } from './one-run.ts';
import type { World } from './world.ts';

/** Keeps what a failed run left to read: logs and consoles as they are, both ledgers, what virsh and the disks show. Returns the folder. */
export async function keepEvidence(world: World, run: Run, result: Result, seed: number): Promise<string> {
  const dir = join(repositoryRoot, '.carnet', 'faults', `seed-${seed}-run-${run.number}`);
  mkdirSync(dir, { recursive: true });
  const copy = (from: string, name: string): void => {
    if (existsSync(from)) copyFileSync(from, join(dir, name));
  };
  copy(world.federation.bus.logFile, 'nats.log');
  writeFileSync(join(dir, 'run.json'), JSON.stringify({ run, result }, undefined, 2));
  for (const side of [world.a, world.b]) {
    const { key } = side.plan;
    const { paths, host, database } = side.csp;
    copy(paths.brokerLog, `${key}-broker.log`);
    copy(paths.agentLog, `${key}-agent.log`);
    copy(host.logFile, `${key}-libvirtd.log`);
    copy(database.logFile, `${key}-postgres.log`);
    copy(consoleOf(side, world.uuid), `${key}-serial.log`);
    const asked = async <T>(ask: () => Promise<T> | T): Promise<T | string> => {
      try {
        return await ask();
      } catch (cause) {
        return String(cause);
      }
    };
    const seen = {
      domains: await asked(() => host.virsh('list', '--all')),
      left: await asked(() => leftAt(side)),
      events: await asked(() =>
        rowsOf(
          database,
          'select publisher, seq, type, epoch, void_code, time, placed_at from events where migration = $1 order by placed_at',
          [result.migration],
        ),
      ),
      ledgers: await asked(() => rowsOf(database, 'select * from ledgers')),
    };
    writeFileSync(join(dir, `${key}-seen.json`), JSON.stringify(seen, undefined, 2));
  }
  return dir;
}
