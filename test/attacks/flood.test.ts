import { readFileSync } from 'node:fs';
import { eventually } from '@carnet/dev';
import { sha256Hex } from '@carnet/trust';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { neverBoth, nothingLostOrDoubledBetween, runsAt } from '../faults/harness/checks.ts';
import { type Clouds, startClouds } from '../faults/harness/clouds.ts';
import { CSP_C, type Flooder, genuineIntent, openFlooder, type Shot } from '../faults/harness/flooder.ts';
import { rowsOf } from '../faults/harness/ledger-db.ts';
import { createVm, intend, settled, type Vm } from '../faults/harness/moves.ts';

/** More than A keeps waiting at once, twice. */
const INTENTS = 1_200;
/** Offers that A leaves open to a peer, and how many more may be under way when the last of them is made. */
const [OFFERS, UNDER_WAY] = [20, 32];
/** What `libs/journal` lets wait, and one batch. */
const WAITING_MAX = 512 + 256;
const [GARBAGE, GARBAGE_BYTES] = [1_000, 65_536];
/** So many short ones that no machine is slow enough for the allowance to keep pace with them. */
const [SHOUTS, SHOUT_BYTES] = [30_000, 256];
const MOVED_MS_MAX = 240_000;
const WORKED_MS_MAX = 300_000;

let clouds: Clouds;
let c: Flooder;
let vms: readonly Vm[];
beforeAll(async () => {
  clouds = await startClouds({
    third: CSP_C,
    broker: (text) => text.replace('[migration]', `[migration]\nunansweredOffers = ${OFFERS}`),
  });
  vms = [await createVm(clouds.a), await createVm(clouds.a)];
  await there();
  c = await openFlooder(clouds, CSP_C, await genuineIntent(clouds.a));
}, 240_000);
afterAll(async () => {
  await c?.close();
  await clouds?.stop();
});

type Ends = 'there' | 'back';
async function move(way: Ends): Promise<void> {
  const [from, to] = way === 'there' ? [clouds.a, clouds.b] : [clouds.b, clouds.a];
  const rows = await Promise.all(vms.map(async (vm) => settled(clouds, await intend(from, to, vm, 'cold'), MOVED_MS_MAX)));
  expect(rows.map(({ outcome }) => outcome)).toEqual(['done', 'done']);
  for (const vm of vms) {
    expect(runsAt(clouds, vm)).toEqual([to.plan.domain]);
    neverBoth(clouds, vm);
  }
}
const there = (): Promise<void> => move('there');
const back = (): Promise<void> => move('back');

const limitedBy = (what: string): boolean =>
  readFileSync(clouds.a.paths.brokerLog, 'utf8')
    .split('\n')
    .some((line) => line.includes('"code":"PEER_RATE_LIMITED"') && line.includes(`"by":"${what}"`));

type Said = { readonly type: string; readonly code: string | null; readonly n: number };
/** What stands between C and A: how often each type, and with which first reason. */
const said = (): Promise<readonly Said[]> =>
  rowsOf<Said>(
    clouds.a.database,
    `select type, code, count(*)::int as n from (select type, convert_from(decode(convert_from(envelope, 'utf8')::json->>'payload',
       'base64'), 'utf8')::json->'data'->'reasons'->0->>'code' as code from events where $1 in (publisher, audience)) e group by 1, 2`,
    [CSP_C],
  );
const countOf = (rows: readonly Said[], type: string): number =>
  rows.filter((row) => row.type === type).reduce((sum, { n }) => sum + n, 0);

/** Exactly what C signed, in its order, nothing void, nobody accused. */
async function ledgerIs(shots: readonly Shot[]): Promise<void> {
  const rows = await rowsOf<{ readonly seq: number; readonly digest: string; readonly void_code: string | null }>(
    clouds.a.database,
    'select seq::int as seq, digest, void_code from events where publisher = $1 order by seq',
    [CSP_C],
  );
  expect(rows).toEqual(shots.map(({ envelope }, i) => ({ seq: i + 1, digest: sha256Hex(envelope), void_code: null })));
  expect(await rowsOf(clouds.a.database, 'select digest from proofs')).toEqual([]);
}

describe('a peer in good standing that never stops', () => {
  let shots: readonly Shot[];

  it('asks for more moves than anybody answers: those of others end, and what waits here is bounded', async () => {
    shots = c.intents(clouds.a, INTENTS);
    await c.fire(shots);
    let waitingMax = 0;
    let moving = true;
    const watch = async (): Promise<void> => {
      while (moving) {
        const rows = await said();
        const answered = countOf(rows, 'MigrationOffered') + countOf(rows, 'MigrationRefused');
        waitingMax = Math.max(waitingMax, countOf(rows, 'MigrationIntended') - answered);
        await new Promise((resolve) => setTimeout(resolve, 250));
      }
    };
    const watched = watch();
    await back();
    await there();
    moving = false;
    await watched;
    expect([waitingMax <= WAITING_MAX, limitedBy('unanswered')]).toEqual([true, true]);
  });

  it('is answered in the end, each of its intents: by an offer while few are open, then by OFFERS_UNANSWERED', async () => {
    const rows = await eventually(
      `${INTENTS} answers`,
      async () => {
        const now = await said();
        return countOf(now, 'MigrationOffered') + countOf(now, 'MigrationRefused') === INTENTS ? now : undefined;
      },
      WORKED_MS_MAX,
    );
    expect(countOf(rows, 'MigrationOffered')).toBeLessThanOrEqual(OFFERS + UNDER_WAY);
    expect(rows.flatMap(({ type, code }) => (type === 'MigrationRefused' ? [code] : []))).toEqual(['OFFERS_UNANSWERED']);
    await ledgerIs(shots);
  });

  it('shouts 64 KiB without sense, on its ledger and where peers talk: nothing of it is placed, and it is not listened to', async () => {
    const shouting = Promise.all([
      c.garbage(clouds.a, 'ledger', GARBAGE, GARBAGE_BYTES),
      c.garbage(clouds.a, 'talk', GARBAGE, GARBAGE_BYTES).then(() => c.garbage(clouds.a, 'talk', SHOUTS, SHOUT_BYTES)),
    ]);
    await back();
    await shouting;
    await eventually('C held for its talk', () => (limitedBy('talk') ? true : undefined), 30_000);
    await ledgerIs(shots);
  });

  it('is heard again when it has stopped, and others have lost nothing', async () => {
    const more = c.intents(clouds.a, 1);
    await c.fire(more);
    shots = [...shots, ...more];
    await eventually(
      'an answer to the last intent',
      async () =>
        countOf(await said(), 'MigrationRefused') + countOf(await said(), 'MigrationOffered') > INTENTS ? true : undefined,
      WORKED_MS_MAX,
    );
    await ledgerIs(shots);
    await there();
    await nothingLostOrDoubledBetween(clouds);
  });
});
