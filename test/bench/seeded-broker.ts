import { createPrivateKey, generateKeyPairSync } from 'node:crypto';
import { readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { eventually, type Postgres } from '@carnet/dev';
import { ed25519Signer } from '@carnet/trust';
import type { Clouds } from '../faults/harness/clouds.ts';
import { rowsOf } from '../faults/harness/ledger-db.ts';
import { ledgerPair } from './ledger-pair.ts';
import { EVENTS_PER_MIGRATION, openBenchStore, storePair } from './replay-store.ts';

export const SETTLE_MS_MAX = 1_800_000;

/**
 * Puts the ledgers of `finished` ended migrations and `active` open ones into A's database, in place of what is there. They are signed
 * and stored as its journal would have, not run. The active ones wait for the target's verification of their image. Neither A's broker
 * nor anything of B may run. Answers how many events there are.
 */
export async function seedLedgers(
  a: Clouds['a'],
  { finished, active }: { readonly finished: number; readonly active: number },
): Promise<number> {
  await rowsOf(a.database, 'truncate events, proofs, checkpoints');
  await rowsOf(
    a.database,
    `update ledgers set head_seq = 0, head_digest = null, keys = '[]', acked_seq = 0, read_back_seq = 0, covered_seq = 0`,
  );
  await rowsOf(a.database, 'update peers set own_seq = 0, own_digest = null, head_envelope = null');
  await forgetFolds(a);
  rmSync(join(a.paths.brokerState, 'heads'), { recursive: true, force: true });
  const signers = {
    a: ed25519Signer(createPrivateKey(readFileSync(a.paths.eventKey))),
    b: ed25519Signer(generateKeyPairSync('ed25519').privateKey),
  };
  const pair = ledgerPair({ signers, startMs: Date.now() - (finished + active) * EVENTS_PER_MIGRATION });
  const store = await openBenchStore(a.database.url);
  try {
    const announced = await storePair(store, pair.announcements(), pair.states);
    const ended = await storePair(store, pair.migrations(finished), pair.states);
    const stored = announced + ended + (await storePair(store, pair.migrations(active, 'ImageVerified'), pair.states));
    // The target has acknowledged all of it, and then went away: what is not acknowledged is kept beside the database as well.
    await rowsOf(a.database, 'update ledgers set covered_seq = head_seq');
    return stored;
  } finally {
    await store.close();
  }
}

/** Whatever the broker derived from the ledgers: it folds all of them again. */
export const forgetFolds = (a: Clouds['a']): Promise<unknown> => rowsOf(a.database, 'truncate views_migrations, broker_settled');

/** The broker writes a row of its view at each look that finds none. */
async function areShown(database: Postgres, count: number): Promise<true | undefined> {
  const [row] = await rowsOf<{ readonly shown: boolean }>(database, `select count(*) >= ${count} as shown from views_migrations`);
  return row?.shown === true ? true : undefined;
}

/** From the start of its process until it has looked at each of `count` migrations that the view does not show; and until ready. */
export async function startUntilShown(
  a: Clouds['a'],
  count: number,
): Promise<{ readonly readySeconds: number; readonly seconds: number }> {
  const startedMs = performance.now();
  const since = (): number => (performance.now() - startedMs) / 1_000;
  await a.broker.restart();
  const readySeconds = since();
  await eventually('a look at every migration', () => areShown(a.database, count), SETTLE_MS_MAX);
  return { readySeconds, seconds: since() };
}
