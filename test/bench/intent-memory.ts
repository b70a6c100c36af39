import { createPrivateKey, generateKeyPairSync } from 'node:crypto';
import { readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { eventually, type Postgres } from '@carnet/dev';
import { ed25519Signer } from '@carnet/trust';
import type { Clouds } from '../faults/harness/clouds.ts';
import { rowsOf } from '../faults/harness/ledger-db.ts';
import { ledgerPair } from './ledger-pair.ts';
import { residentOf } from './processes.ts';
import { EVENTS_PER_MIGRATION, openBenchStore, storePair } from './replay-store.ts';
import { type BenchCase, benchCase, type Series } from './result.ts';

const SETTLE_MS_MAX = 900_000;
/** After all is told: as long as two rounds of looking at each open journey. */
const REST_MS = 30_000;

async function isTold(database: Postgres): Promise<true | undefined> {
  const [row] = await rowsOf<{ readonly told: boolean }>(
    database,
    'select bool_and(read_back_seq = head_seq) as told from ledgers where acked_seq > 0',
  );
  return row?.told === true ? true : undefined;
}

/** The broker writes a row of its view at each look that finds none. */
async function areShown(database: Postgres, count: number): Promise<true | undefined> {
  const [row] = await rowsOf<{ readonly shown: boolean }>(database, `select count(*) >= ${count} as shown from views_migrations`);
  return row?.shown === true ? true : undefined;
}

/** From the start of its process until it has looked at each of `count` migrations that the view does not show. */
async function secondsUntilShown(a: Clouds['a'], count: number): Promise<number> {
  const startedMs = performance.now();
  await a.broker.restart();
  await eventually('a look at every migration', () => areShown(a.database, count), SETTLE_MS_MAX);
  return (performance.now() - startedMs) / 1_000;
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
  await seed(a, { finished, active });
  const all = finished + active;
  const seconds = await secondsUntilShown(a, all);
  await eventually('a bus that holds the whole ledger', () => isTold(a.database), SETTLE_MS_MAX);
  await sleep(REST_MS);
  const filled = residentOf(a.broker.pid);
  await a.broker.stop();
  await rowsOf(a.database, 'delete from views_migrations where not ended');
  const againSeconds = await secondsUntilShown(a, all);
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

async function seed(a: Clouds['a'], { finished, active }: { readonly finished: number; readonly active: number }): Promise<void> {
  await rowsOf(a.database, 'truncate events, proofs, checkpoints');
  await rowsOf(
    a.database,
    `update ledgers set head_seq = 0, head_digest = null, keys = '[]', acked_seq = 0, read_back_seq = 0, covered_seq = 0`,
  );
  await rowsOf(a.database, 'update peers set own_seq = 0, own_digest = null, head_envelope = null');
  await rowsOf(a.database, 'truncate views_migrations, broker_settled');
  rmSync(join(a.paths.brokerState, 'heads'), { recursive: true, force: true });
  const signers = {
    a: ed25519Signer(createPrivateKey(readFileSync(a.paths.eventKey))),
    b: ed25519Signer(generateKeyPairSync('ed25519').privateKey),
  };
  const pair = ledgerPair({ signers, startMs: Date.now() - (finished + active) * EVENTS_PER_MIGRATION });
  const store = await openBenchStore(a.database.url);
  try {
    await storePair(store, pair.announcements(), pair.states);
    await storePair(store, pair.migrations(finished), pair.states);
    await storePair(store, pair.migrations(active, 'ImageVerified'), pair.states);
  } finally {
    await store.close();
  }
}
