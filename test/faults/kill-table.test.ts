import { setTimeout as sleep } from 'node:timers/promises';
import type { Daemon } from '@carnet/dev';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { ledgersAgree, neverBoth, runsAt, strayOf, tracesOf } from './harness/checks.ts';
import type { Cloud } from './harness/cloud.ts';
import { type Clouds, startClouds } from './harness/clouds.ts';
import { type EventWatch, watchEvents } from './harness/event-watch.ts';
import { rowsOf } from './harness/ledger-db.ts';
import { createVm, intend, type Mode, settled, type Vm } from './harness/moves.ts';

/** Every event of a migration that goes well, and whose ledger it stands in first. */
const STEPS = [
  ['MigrationIntended', 'source'],
  ['MigrationOffered', 'target'],
  ['OfferAgreed', 'source'],
  ['KeyDeposited', 'source'],
  ['DepositAcknowledged', 'target'],
  ['TargetReady', 'target'],
  ['SourceQuiesced', 'source'],
  ['ImageSealed', 'source'],
  ['ImageVerified', 'target'],
  ['KeyReleased', 'source'],
  ['KeyImported', 'target'],
  ['StartAuthorized', 'target'],
  ['VmStarted', 'target'],
  ['VmHealthy', 'target'],
  ['VolumeRekeyed', 'target'],
  ['MigrationFinalized', 'target'],
  ['SourceRetired', 'source'],
] as const;
const VICTIMS = ['broker A', 'broker B', 'agent A', 'agent B', 'nats-server', 'PostgreSQL A', 'PostgreSQL B'] as const;
type Victim = (typeof VICTIMS)[number];

/** Dead for this long before it is started again, in milliseconds. */
const DEAD_MS = 500;
/** An event, and the end, may be late by what else is killed meanwhile. */
const EVENT_MS_MAX = 60_000;
const END_MS_MAX = 90_000;
const TABLE_MS_MAX = 480_000;

/**
 * One train: seven VMs that start together, each with its own victim and its own step, so that kills of one train fall on
 * different steps of migrations that are all under way. Two processes die at a time: a pair of different kinds at different
 * sides, whose outages overlap. After as many trains as there are steps, every process has died at every step.
 */
const OFFSETS: Readonly<Record<Victim, number>> = {
  'broker A': 0,
  'agent B': 0,
  'broker B': 4,
  'agent A': 4,
  'PostgreSQL A': 8,
  'nats-server': 10,
  'PostgreSQL B': 13,
};
type Cell = { readonly victim: Victim; readonly train: number; readonly step: (typeof STEPS)[number][0]; readonly mode: Mode };
type End = { readonly vm: Vm; readonly migration: string; readonly outcome: string; readonly killed: boolean };

const nameOf = ({ victim, step }: Cell): string => `${victim} at ${step}`;
const TRAINS = STEPS.map((_, train) => train);
const cells = TRAINS.flatMap((train) =>
  VICTIMS.map((victim, i): Cell => {
    const [step] = STEPS[(train + OFFSETS[victim]) % STEPS.length] ?? STEPS[0];
    return { victim, train, step, mode: (train + i) % 2 === 0 ? 'cold' : 'suspend' };
  }),
);

let clouds: Clouds;
let watches: readonly [EventWatch, EventWatch];
const ends = new Map<string, Promise<End>>();
const vms = new Map<Victim, Vm>();

function daemonOf(victim: Victim): Daemon {
  switch (victim) {
    case 'broker A':
      return clouds.a.broker;
    case 'broker B':
      return clouds.b.broker;
    case 'agent A':
      return clouds.a.agent;
    case 'agent B':
      return clouds.b.agent;
    case 'nats-server':
      return clouds.bus;
    case 'PostgreSQL A':
      return clouds.a.database;
    case 'PostgreSQL B':
      return clouds.b.database;
  }
}

const sidesOf = (vm: Vm): { readonly source: Cloud; readonly target: Cloud } => {
  const { a, b } = clouds;
  return b.host.domain(vm.uuid) === undefined ? { source: a, target: b } : { source: b, target: a };
};

async function play({ victim, step, mode }: Cell, vm: Vm): Promise<End> {
  const { source, target } = sidesOf(vm);
  const [, side] = STEPS.find(([name]) => name === step) ?? STEPS[0];
  const watch = (side === 'source' ? source : target) === clouds.a ? watches[0] : watches[1];
  const migration = await intend(source, target, vm, mode);
  const killed = await watch.appears(migration, step, EVENT_MS_MAX).then(
    () => true,
    () => false,
  );
  const daemon = daemonOf(victim);
  await daemon.kill('SIGKILL');
  await sleep(DEAD_MS);
  await daemon.restart();
  const { outcome } = await settled(clouds, migration, END_MS_MAX);
  return { vm, migration, outcome, killed };
}

beforeAll(async () => {
  clouds = await startClouds();
  watches = [watchEvents(clouds.a.database), watchEvents(clouds.b.database)];
  for (const victim of VICTIMS) vms.set(victim, await createVm(clouds.a));
  let before: Promise<unknown> = Promise.resolve();
  for (const train of TRAINS) {
    const running = cells
      .filter((cell) => cell.train === train)
      .map((cell) => {
        const end = before.then(() => play(cell, vms.get(cell.victim) ?? { vm: '', uuid: '' }));
        ends.set(nameOf(cell), end);
        return end;
      });
    // Awaited by the cells' own tests; a train that failed somewhere does not hold up the next.
    before = Promise.allSettled(running);
  }
});

afterAll(async () => {
  await Promise.all((watches ?? []).map((watch) => watch.close()));
  await clouds?.stop();
});

describe('kill -9 of each process at each step, two at a time: every migration ends, the VM runs on exactly one side', () => {
  it.each(cells.map((cell) => [nameOf(cell), cell] as const))(
    '%s',
    async (name) => {
      const end = await ends.get(name);
      expect(end).toMatchObject({ killed: true });
      expect(['done', 'rolled-back', 'withdrawn', 'refused']).toContain(end?.outcome);
    },
    TABLE_MS_MAX,
  );
});

describe('after all of it', () => {
  it('both sides hold the same ledgers and fold them to the same ends', async () => {
    await ledgersAgree(clouds, 60_000);
    const rows = async ({ api }: Cloud): Promise<unknown> => {
      const answer = await api.get<{ readonly items: readonly Record<string, unknown>[] }>('/v1/migrations?limit=1000');
      return answer.ok
        ? answer.value.items
            .map(({ migration, outcome, sourcePhase, targetPhase, ended }) => ({
              migration,
              outcome,
              sourcePhase,
              targetPhase,
              ended,
            }))
            .toSorted((x, y) => String(x.migration).localeCompare(String(y.migration)))
        : answer;
    };
    const [atA, atB] = await Promise.all([rows(clouds.a), rows(clouds.b)]);
    expect(atA).toEqual(atB);
    expect(atA).toHaveLength(cells.length);
    expect(atA).not.toContainEqual(expect.objectContaining({ ended: false }));
  });

  it('each VM runs on exactly one side and never ran on both; the other side has no trace of it', async () => {
    for (const vm of vms.values()) {
      const { source: holder, target: other } = sidesOf(vm);
      expect(runsAt(clouds, vm)).toEqual([holder.plan.domain]);
      neverBoth(clouds, vm);
      expect(await tracesOf(other, vm)).toEqual([]);
    }
  });

  it('no reservation, secret, staged byte or clear memory is left, and no proof against anybody was found', async () => {
    for (const side of [clouds.a, clouds.b]) {
      expect(strayOf(side)).toEqual([]);
      expect(await rowsOf(side.database, 'select code from proofs')).toEqual([]);
      expect(
        await rowsOf(side.database, 'select publisher from ledgers where frozen is not null or quarantined_at is not null'),
      ).toEqual([]);
    }
  });

  it('most of them went through: a kill is a delay, seldom a rollback', async () => {
    const outcomes = (await Promise.all(ends.values())).map(({ outcome }) => outcome);
    expect(outcomes.filter((outcome) => outcome === 'done').length).toBeGreaterThan(outcomes.length * 0.8);
  });
});
