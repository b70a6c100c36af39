import type { Daemon } from '@carnet/dev';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { eachEffectOnce, eachEventOnce, type Moved, nobodyAccused, nothingLostOrDoubled } from './harness/checks.ts';
import type { Replica } from './harness/cloud.ts';
import { type Clouds, startClouds } from './harness/clouds.ts';
import { eventAppears, rowsOf } from './harness/ledger-db.ts';
import { createVm, intend, settled } from './harness/moves.ts';
import { earlierRelease, nextRelease, presentRelease, type Release } from './harness/releases.ts';

const SOON_MS = 60_000;
const MS_MAX = 240_000;
/** Moves that each step of the upgrade begins, half at either door. */
const MOVES = 4;

/** By hand, in a clone with its history: an earlier commit, which is then upgraded to this tree. Else this tree is, to a next release. */
const earlier = process.env['CARNET_UPGRADE_FROM'];

let older: Release;
let newer: Release;
let clouds: Clouds;
let first: Daemon;
let second: Replica;
const moves: Moved[] = [];

beforeAll(async () => {
  [older, newer] = earlier === undefined ? [presentRelease, nextRelease()] : [earlierRelease(earlier), presentRelease];
  clouds = await startClouds({ release: ({ key }) => (key === 'a' ? older : undefined) });
  first = clouds.a.broker;
  second = await clouds.a.startReplica(older);
}, 180_000);
afterAll(() => clouds?.stop());

/** Asks for moves at both doors of A, and returns when one of them is this far: the others then stand at every step before. */
async function begin(until: string): Promise<void> {
  const { a, b } = clouds;
  const vms = await Promise.all(Array.from({ length: MOVES }, () => createVm(a)));
  const begun = await Promise.all(
    vms.map(async (vm, i) => {
      const mode = i % 2 === 0 ? 'cold' : 'suspend';
      const migration = await intend(a, b, vm, mode, i < MOVES / 2 ? a.api : second.api);
      moves.push({ vm, mode, migration });
      return migration;
    }),
  );
  await Promise.any(begun.map((migration) => eventAppears(a.database, migration, until, SOON_MS)));
}

const changesKnown = async (): Promise<readonly string[]> =>
  (await rowsOf<{ readonly name: string }>(clouds.a.database, 'select name from changes_journal order by name')).map(
    ({ name }) => name,
  );

describe('two replicas of A over one database, upgraded one after the other while VMs move', () => {
  it(
    'an older and a newer one serve side by side; the newer dies, goes back, comes again; then the other follows; every move is done',
    async () => {
      const { a } = clouds;
      const before = await changesKnown();
      await begin('OfferAgreed');
      await second.broker.stop();
      second = await a.startReplica(newer);
      if (earlier === undefined) expect((await changesKnown()).length).toBe(before.length + 1);

      await begin('SourceQuiesced');
      await second.broker.kill('SIGKILL');
      second = await a.startReplica(newer);

      // The upgrade is taken back: the schema stays, what wrote it goes.
      await begin('KeyReleased');
      await second.broker.stop();
      second = await a.startReplica(older);

      await begin('KeyDeposited');
      await second.broker.stop();
      second = await a.startReplica(newer);
      await begin('KeyDeposited');
      await first.stop();
      first = await a.replaceBroker(newer);
      await begin('OfferAgreed');
      for (const { migration } of moves) expect(await settled(clouds, migration, MS_MAX)).toMatchObject({ outcome: 'done' });
    },
    3 * MS_MAX,
  );

  it('nothing was lost or doubled: equal ledgers, each event of a migration once, no proof against anybody', async () => {
    await nothingLostOrDoubled(clouds);
    await eachEventOnce(clouds, moves);
    await nobodyAccused(clouds);
  });

  it('nothing was done twice: the hosts stopped, started and removed each VM once', () => eachEffectOnce(clouds, moves));

  const whatTheyWrote = async (): Promise<void> => {
    const decided = await rowsOf<{
      readonly written_by: string;
      readonly own: boolean;
      readonly noted: boolean;
      readonly count: number;
    }>(
      clouds.a.database,
      `select written_by, publisher = $1 as own, placed.digest is not null as noted, count(*)::int as count
         from events left join placed using (digest) group by 1, 2, 3`,
      [clouds.a.plan.domain],
    );
    const of = (by: string) => decided.filter(({ written_by }) => written_by === by);
    for (const by of ['before', 'next']) expect(of(by).some(({ own, count }) => own && count > 0)).toBe(true);
    // The next release's own table has exactly what it decided, and nothing that the older one did.
    for (const { written_by, own, noted } of decided) expect(noted).toBe(own && written_by === 'next');
  };
  // An earlier commit marks nothing: there it is the doors' answers that say so.
  if (earlier === undefined) it('both releases decided, and each wrote what it knows', whatTheyWrote);

  it('what is upgraded reads all that either of them wrote: its view has every move as done', async () => {
    await first.restart();
    for (const { migration } of moves) expect(await settled(clouds, migration, SOON_MS)).toMatchObject({ outcome: 'done' });
  });
});
