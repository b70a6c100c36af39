import { eventually } from '@carnet/dev';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { ledgersAgree, neverBoth, runsAt, strayOf, tracesOf } from '../faults/harness/checks.ts';
import type { Replica } from '../faults/harness/cloud.ts';
import { type Clouds, startClouds } from '../faults/harness/clouds.ts';
import { ledgerRows, rowsOf } from '../faults/harness/ledger-db.ts';
import { createVm, intend, settled, type Vm } from '../faults/harness/moves.ts';

const MIGRATIONS = 30;
/** The first replica dies when this many of them are through: others are then at every step. */
const KILL_AFTER = 8;
/** VMs made at once: each takes a key, a volume and a start. */
const AT_ONCE = 5;
const MS_MAX = 240_000;

let clouds: Clouds;
let second: Replica;
const moved: { readonly vm: Vm; readonly mode: 'cold' | 'suspend'; readonly migration: string }[] = [];

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
    for (const { database } of [clouds.a, clouds.b]) {
      expect(await rowsOf(database, 'select code from proofs')).toEqual([]);
      expect(
        await rowsOf(database, 'select publisher from ledgers where frozen is not null or quarantined_at is not null'),
      ).toEqual([]);
    }
  });

  it('nothing was decided twice: each migration has each of its events once', async () => {
    const rows = await ledgerRows(clouds.a.database);
    for (const { migration } of moved) {
      const types = rows.flatMap((row) => (row.migration === migration ? [row.type] : []));
      expect(types).toHaveLength(17);
      expect(new Set(types).size).toBe(17);
    }
  });

  it('nothing was done twice: the hosts stopped, started and removed each VM once', async () => {
    const { a, b } = clouds;
    for (const { vm, mode } of moved) {
      // A definition may be written again: it says the same.
      const did = (host: typeof a.host): readonly string[] =>
        host.effects().flatMap(({ uuid, effect }) => (uuid === vm.uuid && effect !== 'define' ? [effect] : []));
      expect(did(a.host)).toEqual(['boot', 'run', mode === 'cold' ? 'off' : 'save', 'undefine']);
      expect(did(b.host)).toEqual([mode === 'cold' ? 'boot' : 'restore', 'run']);
      expect(runsAt(clouds, vm)).toEqual([b.plan.domain]);
      neverBoth(clouds, vm);
      expect(await tracesOf(a, vm)).toEqual([]);
    }
    expect([...strayOf(a), ...strayOf(b)]).toEqual([]);
  });
});
