import { eventually } from '@carnet/dev';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { eachEffectOnce, eachEventOnce, ledgersAgree, type Moved, nobodyAccused } from '../faults/harness/checks.ts';
import type { Replica } from '../faults/harness/cloud.ts';
import { type Clouds, startClouds } from '../faults/harness/clouds.ts';
import { ledgerRows } from '../faults/harness/ledger-db.ts';
import { createVm, intend, settled, type Vm } from '../faults/harness/moves.ts';

const MIGRATIONS = 30;
/** The first replica dies when this many of them are through: others are then at every step. */
const KILL_AFTER = 8;
/** VMs made at once: each takes a key, a volume and a start. */
const AT_ONCE = 5;
const MS_MAX = 240_000;

let clouds: Clouds;
let second: Replica;
const moved: Moved[] = [];

beforeAll(async () => {
  clouds = await startClouds();
  second = await clouds.a.startReplica();
}, 180_000);

afterAll(() => clouds?.stop());

const retired = async (): Promise<number> =>
  (await ledgerRows(clouds.a.database)).filter(({ type }) => type === 'SourceRetired').length;

describe('two replicas of one broker on one database, one of them killed midway', () => {
  it(
    'thirty migrations are asked for at both doors, and all go through',
    async () => {
      const { a, b } = clouds;
      const vms: Vm[] = [];
      while (vms.length < MIGRATIONS) vms.push(...(await Promise.all(Array.from({ length: AT_ONCE }, () => createVm(a)))));
      await Promise.all(
        vms.map(async (vm, i) => {
          const mode = i % 2 === 0 ? 'cold' : 'suspend';
          moved.push({ vm, mode, migration: await intend(a, b, vm, mode, i % 3 === 0 ? second.api : a.api) });
        }),
      );
      await eventually('the first few', async () => ((await retired()) >= KILL_AFTER ? true : undefined), MS_MAX);
      expect(await retired()).toBeLessThan(MIGRATIONS);
      await a.broker.kill('SIGKILL');
      for (const { migration } of moved)
        expect(await settled({ a: second, b }, migration, MS_MAX)).toMatchObject({ outcome: 'done' });
    },
    2 * MS_MAX,
  );

  it('no ledger forked: both sides hold the same, without proof against anybody', async () => {
    await ledgersAgree(clouds);
    await nobodyAccused(clouds);
  });

  it('nothing was decided twice: each migration has each of its events once', () => eachEventOnce(clouds, moved));

  it('nothing was done twice: the hosts stopped, started and removed each VM once', () => eachEffectOnce(clouds, moved));
});
