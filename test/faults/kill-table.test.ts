import { setTimeout as sleep } from 'node:timers/promises';
import { type Daemon, eventually } from '@carnet/dev';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { ledgersAgree, neverBoth, nobodyAccused, runsAt, strayOf, tracesOf, withLogsOf } from './harness/checks.ts';
import type { Cloud } from './harness/cloud.ts';
import { type Clouds, startClouds } from './harness/clouds.ts';
import { type EventWatch, watchEvents } from './harness/event-watch.ts';
import { createVm, intentOf, type Mode, settled, type Vm } from './harness/moves.ts';

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
/** An event, and the end, may be late by what else is killed meanwhile, on a machine that does other work: whether they come is asked, not how soon. */
const EVENT_MS_MAX = 120_000;
const END_MS_MAX = 180_000;
const TABLE_MS_MAX = 900_000;

/**
 * One move of one VM meets its victim's death at several steps, far enough apart to have recovered in between. Seven VMs, one
 * for each victim, start together; of each train's kills two fall together at most: different kinds at different sides, whose
 * outages overlap. After all trains every process has died at every step.
 */
const TRAINS = 6;
const SHIFTS: Readonly<Record<Victim, number>> = {
  'broker A': 0,
  'agent B': 0,
  'broker B': 2,
  'agent A': 2,
  'PostgreSQL A': 4,
  'nats-server': 5,
  'PostgreSQL B': 3,
};
type Step = (typeof STEPS)[number];
type Ride = { readonly victim: Victim; readonly train: number; readonly steps: readonly Step[]; readonly mode: Mode };
type Moved = { readonly migration: string; readonly outcome: string; readonly killedAt: readonly string[] };

const rides = Array.from({ length: TRAINS }, (_, train) => train).flatMap((train) =>
  VICTIMS.map((victim, i): Ride => {
    const steps = STEPS.filter((_, at) => at % TRAINS === (train + SHIFTS[victim]) % TRAINS);
    return { victim, train, steps, mode: (train + i) % 2 === 0 ? 'cold' : 'suspend' };
  }),
);
/** A kill may end a migration early; what it had still to meet, the next move of the same VM meets. */
const MOVES_MAX = 4;
const LAST_WORDS = ['SourceRetired', 'SourceResumed', 'MigrationWithdrawn', 'MigrationRefused'] as const;

const PUT_AWAY_MS = 30_000;

let clouds: Clouds;
let watches: readonly [EventWatch, EventWatch];
const ends = new Map<Ride, Promise<readonly Moved[]>>();
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

async function play({ victim, steps, mode }: Ride, vm: Vm): Promise<readonly Moved[]> {
  const moves: Moved[] = [];
  const missing = (): readonly Step[] => steps.filter(([type]) => !moves.some(({ killedAt }) => killedAt.includes(type)));
  while (missing().length > 0 && moves.length < MOVES_MAX) moves.push(await move(victim, missing(), mode, vm));
  return moves;
}

async function move(victim: Victim, steps: readonly Step[], mode: Mode, vm: Vm): Promise<Moved> {
  const { source, target } = sidesOf(vm);
  const migration = await taken(source, target, vm, mode);
  return ridden(source, target, migration, victim, steps).catch(withLogsOf(clouds, migration));
}

async function ridden(source: Cloud, target: Cloud, migration: string, victim: Victim, steps: readonly Step[]): Promise<Moved> {
  const watchOf = (side: Cloud): EventWatch => (side === clouds.a ? watches[0] : watches[1]);
  const over = new AbortController();
  for (const type of LAST_WORDS)
    watchOf(source)
      .appears(migration, type, END_MS_MAX)
      .then(
        () => over.abort(),
        () => undefined,
      );
  const killedAt: string[] = [];
  for (const [type, side] of steps) {
    if (!(await appearsOrEnds(watchOf(side === 'source' ? source : target), migration, type, over.signal))) break;
    const daemon = daemonOf(victim);
    await daemon.kill('SIGKILL');
    killedAt.push(type);
    await sleep(DEAD_MS);
    // A broker whose database or bus is dead at that moment waits for it.
    await daemon.restart();
  }
  const { outcome } = await settled(clouds, migration, END_MS_MAX);
  return { migration, outcome, killedAt };
}

/** Doors are shut while their broker or its database is dead. The same request again is the same migration, however often. */
async function taken(source: Cloud, target: Cloud, vm: Vm, mode: Mode): Promise<string> {
  const asked = intentOf(vm.vm, target.plan.domain, mode);
  return eventually(
    'an open door',
    async () => {
      const answer = await source.api.post('/v1/intents', asked);
      if (!answer.ok && !PASSING.has(answer.code)) throw new Error(`${answer.code}: ${answer.text}`);
      return answer.ok ? asked.data.migration : undefined;
    },
    EVENT_MS_MAX,
  );
}
const PASSING: ReadonlySet<string> = new Set(['UNREACHABLE', 'DATABASE_UNAVAILABLE']);

/** False: the migration has ended, and this event will never come. */
const appearsOrEnds = (watch: EventWatch, migration: string, type: string, over: AbortSignal): Promise<boolean> =>
  new Promise((resolve, reject) => {
    watch.appears(migration, type, EVENT_MS_MAX).then(() => resolve(true), reject);
    // The last word itself is a step too: its own watch is asked first.
    const give = (): void => void setTimeout(() => resolve(false), DEAD_MS);
    if (over.aborted) give();
    else over.addEventListener('abort', give, { once: true });
  });

beforeAll(async () => {
  clouds = await startClouds();
  watches = [watchEvents(clouds.a.database), watchEvents(clouds.b.database)];
  for (const victim of VICTIMS) vms.set(victim, await createVm(clouds.a));
  let before: Promise<unknown> = Promise.resolve();
  for (let train = 0; train < TRAINS; train += 1) {
    const running = rides
      .filter((ride) => ride.train === train)
      .map((ride) => {
        const end = before.then(() => play(ride, vms.get(ride.victim) ?? { vm: '', uuid: '' }));
        ends.set(ride, end);
        return end;
      });
    // Awaited by the rides' own tests; a train that failed somewhere does not hold up the next.
    before = Promise.allSettled(running);
  }
});

afterAll(async () => {
  await Promise.all((watches ?? []).map((watch) => watch.close()));
  await clouds?.stop();
});

describe('kill -9 of each process at each step: every migration ends, by completion or by going back', () => {
  it.each(rides.map((ride) => [`${ride.victim} at ${ride.steps.map(([type]) => type).join(', ')}`, ride] as const))(
    '%s',
    async (_name, ride) => {
      const moves = (await ends.get(ride)) ?? [];
      expect(moves.flatMap(({ killedAt }) => killedAt)).toEqual(ride.steps.map(([type]) => type));
      for (const { outcome } of moves) expect(['done', 'rolled-back', 'withdrawn', 'refused']).toContain(outcome);
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
    expect(atA).toHaveLength((await Promise.all(ends.values())).flat().length);
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
    // What the last of them needed is put away after its end was told.
    for (const side of [clouds.a, clouds.b])
      await eventually('nothing that strays', async () => (strayOf(side).length === 0 ? true : undefined), PUT_AWAY_MS).catch(
        () => expect(strayOf(side)).toEqual([]),
      );
    await nobodyAccused(clouds);
  });

  it('most of them went through: a kill is a delay, seldom a rollback', async () => {
    const outcomes = (await Promise.all(ends.values())).flat().map(({ outcome }) => outcome);
    expect(outcomes.filter((outcome) => outcome === 'done').length).toBeGreaterThan(outcomes.length * 0.8);
  });
});
