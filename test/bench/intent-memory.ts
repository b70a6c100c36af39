import { setTimeout as sleep } from 'node:timers/promises';
import { eventually, type Postgres } from '@carnet/dev';
import type { Clouds } from '../faults/harness/clouds.ts';
import { rowsOf } from '../faults/harness/ledger-db.ts';
import { residentOf } from './processes.ts';
import { type BenchCase, benchCase, type Series } from './result.ts';
import { SETTLE_MS_MAX, seedLedgers, startUntilShown } from './seeded-broker.ts';

/** After all is told: as long as two rounds of looking at each open journey. */
const REST_MS = 30_000;

async function isTold(database: Postgres): Promise<true | undefined> {
  const [row] = await rowsOf<{ readonly told: boolean }>(
    database,
    'select bool_and(read_back_seq = head_seq) as told from ledgers where acked_seq > 0',
  );
  return row?.told === true ? true : undefined;
}

/**
 * Memory of A's broker whose database holds `finished` ended migrations and `active` open ones. They are signed and stored as its
 * journal would have, not run. The active ones wait for the target's verification of their image; the target is away. The bus is
 * new, so the broker first fills it with its whole ledger: that is the peak.
 */
export async function brokerMemory(
  { a, b }: Pick<Clouds, 'a' | 'b'>,
  { finished, active }: { readonly finished: number; readonly active: number },
): Promise<readonly BenchCase[]> {
  await Promise.all([b.broker.stop(), b.agent.stop(), a.broker.stop()]);
  await a.broker.restart();
  await sleep(REST_MS);
  const before = residentOf(a.broker.pid);
  await a.broker.stop();
  await seedLedgers(a, { finished, active });
  const all = finished + active;
  const { seconds } = await startUntilShown(a, all);
  await eventually('a bus that holds the whole ledger', () => isTold(a.database), SETTLE_MS_MAX);
  await sleep(REST_MS);
  const filled = residentOf(a.broker.pid);
  await a.broker.stop();
  await rowsOf(a.database, 'delete from views_migrations where not ended');
  const { seconds: againSeconds } = await startUntilShown(a, all);
  await sleep(REST_MS);
  const after = residentOf(a.broker.pid);
  const memory = benchCase(
    `memory of a broker with ${finished} finished and ${active} active migrations`,
    'MiB',
    'lower',
    {
      name: 'carnet',
      values: [after.nowMiB],
      median: after.nowMiB,
      peakMiB: Math.max(filled.peakMiB, after.peakMiB),
      remark: `resident at rest after a restart (${Math.round(filled.nowMiB)} before it); the peak is from filling an empty bus`,
    },
    [{ name: 'the same broker with none', values: [before.nowMiB], median: before.nowMiB, peakMiB: before.peakMiB }],
  );
  const series = (value: number, remark: string): Series => ({ name: 'carnet', values: [value], median: value, remark });
  const first = series(seconds, 'from its start, filling the bus meanwhile; nothing is known to be settled');
  const again = series(againSeconds, 'from its start; what had ended is known to be settled');
  return [
    memory,
    benchCase(`until a broker has folded all ${all} migrations for the first time`, 's', 'lower', first, []),
    benchCase(`until a restarted broker has looked at all ${active} active migrations`, 's', 'lower', again, []),
  ];
}
