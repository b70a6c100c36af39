import { setTimeout as sleep } from 'node:timers/promises';
import { type Daemon, eventually } from '@carnet/dev';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { ledgersAgree, neverBoth, runsAt } from './harness/checks.ts';
import { type Clouds, startClouds } from './harness/clouds.ts';
import { type EventWatch, watchEvents } from './harness/event-watch.ts';
import { createVm, intentOf, must, newMigration, settled } from './harness/moves.ts';

/**
 * kill -9 while volumes are re-keyed: between the keys' import (or the VM's first sign of life) and the event that says that others took their place, and right
 * after it. The new key must never be lost, nor made twice.
 */
const VICTIMS = ['broker B', 'agent B', 'PostgreSQL B'] as const;
const EVENT_MS_MAX = 60_000;
const DEAD_MS = 300;

type Key = { readonly key: string; readonly artifact: string; readonly state: string };
type KeyDetail = Key & { readonly replaces?: string; readonly consumers: readonly string[] };
type Row = {
  readonly vm: string;
  readonly spec: { readonly disks: readonly { readonly artifact: string; readonly key: string }[] };
};

let clouds: Clouds;
let watch: EventWatch;
const daemonOf = (victim: (typeof VICTIMS)[number]): Daemon => {
  const { broker, agent, database } = clouds.b;
  return { 'broker B': broker, 'agent B': agent, 'PostgreSQL B': database }[victim];
};
const kill = async (victim: (typeof VICTIMS)[number]): Promise<void> => {
  await daemonOf(victim).kill('SIGKILL');
  await sleep(DEAD_MS);
  await eventually(
    `${victim} to come back`,
    () =>
      daemonOf(victim)
        .restart()
        .then(
          () => true as const,
          () => undefined,
        ),
    EVENT_MS_MAX,
  );
};
const get = async <T>(path: string): Promise<T> => must(await clouds.b.api.get<T>(path));

beforeAll(async () => {
  clouds = await startClouds();
  watch = watchEvents(clouds.b.database);
});
afterAll(async () => {
  await watch?.close();
  await clouds?.stop();
});

const BEFORE_IT = { slot: 'KeyImported', full: 'KeyImported', 'full-online': 'VmHealthy' } as const;

describe.each(['slot', 'full', 'full-online'] as const)('%s', (rekey) => {
  it.each(VICTIMS.flatMap((victim) => [BEFORE_IT[rekey], 'VolumeRekeyed' as const].map((at) => [victim, at] as const)))(
    '%s dies at %s: the VM runs at the target under one new key, and the old one is gone',
    async (victim, at) => {
      const vm = await createVm(clouds.a);
      const migration = newMigration();
      must(await clouds.a.api.post('/v1/intents', intentOf(vm.vm, clouds.b.plan.domain, 'cold', migration, { rekey })));
      await watch.appears(migration, at, EVENT_MS_MAX);
      await kill(victim);
      expect(await settled(clouds, migration, 90_000)).toMatchObject({ outcome: 'done' });
      expect(runsAt(clouds, vm)).toEqual([clouds.b.plan.domain]);
      neverBoth(clouds, vm);
      const { items } = await get<{ readonly items: readonly Row[] }>('/v1/vms');
      const [disk] = items.find((row) => row.vm === vm.vm)?.spec.disks ?? [];
      const keys = (await get<{ readonly items: readonly Key[] }>('/v1/keys')).items.filter(
        ({ artifact }) => artifact === disk?.artifact,
      );
      expect(keys.map(({ key, state }) => [key === disk?.key, state]).toSorted()).toEqual([
        [false, 'destroyed'],
        [true, 'active'],
      ]);
      const old = keys.find(({ key }) => key !== disk?.key);
      expect(await get<KeyDetail>(`/v1/keys/${disk?.key}`)).toMatchObject({
        replaces: `${old?.key} version 1`,
        consumers: [`vm:${vm.vm}`],
      });
    },
    200_000,
  );
});

it('both sides hold the same ledgers', () => ledgersAgree(clouds, 60_000));
