import type { Digest, TrustDomain } from '@carnet/events';
import { type FakeNetwork, fakeNetwork } from '@carnet/hypervisor';
import type { Journal } from '@carnet/journal';
import { createMetrics, type Log, type Metrics } from '@carnet/runtime';
import { digestOf } from '../../../libs/saga/src/testing.ts';
import { giveBirth, introduce } from './birth.ts';
import { createBus, type SimBus } from './bus.ts';
import { type Checks, createChecks, type Violation } from './checks.ts';
import { type Csp, headFileOf, RESTART_MS, volatileHead } from './csp.ts';
import { createFaults, type Fault, type Faults } from './faults.ts';
import type { Federation } from './federation.ts';
import { createSimHost, type HostOptions, startAgent } from './host.ts';
import { DOMAINS, type Identity } from './identities.ts';
import { createLiar, type Liar } from './liar.ts';
import type { Mutant } from './mutants.ts';
import { type Random, seeded } from './random.ts';
import { startReplica } from './replica.ts';
import { createScheduler, type Scheduler } from './scheduler.ts';
import { newSessions, openSimStore } from './store.ts';
import { wishes } from './wishes.ts';

/** What is checked of a history in which a database was restored (`isExcused`). */
export type Restored = 'safety' | 'all';

export type SimOptions = {
  readonly seed: number;
  readonly mutant: Mutant;
  readonly without?: ReadonlySet<number>;
  readonly restored: Restored;
  /** Whether one CSP, drawn by the seed, lies. */
  readonly dishonest: 'nobody' | 'one';
  readonly federation: Federation;
};

export type Outcome = {
  readonly violation: Violation | undefined;
  readonly faults: readonly Fault[];
  readonly trace: readonly string[];
  readonly digest: string;
  readonly steps: number;
  readonly simulatedMs: number;
  /** Migrations, by how they ended. */
  readonly ends: Readonly<Record<string, number>>;
};

/** Faults and wishes come for this long; then all is well, and everything must come to an end. */
const STORM_MS = 20_000;
/** After it nothing may be open any more: the deadlines of the last move, and every back-off. */
const CALM_MS_MAX = 400_000;
const STEPS_MAX = 400_000;
const START_MS_MAX = 5_000;
/** What lies need to arrive, once nothing hinders them any more. */
const SURFACE_MS = 20_000;
/** How often it is asked whether all is quiet. */
const QUIET_EVERY_MS = 500;

const metrics: Metrics = createMetrics();
const silent = (): void => undefined;
const log = { debug: silent, info: silent, warn: silent, error: silent, child: () => log } as unknown as Log;

/** The parts of one history, as its seed draws them. */
export type World = {
  readonly options: SimOptions;
  readonly scheduler: Scheduler;
  readonly faults: Faults;
  readonly happened: Fault[];
  readonly storm: number;
  readonly plan: Random;
  readonly random: Random;
  readonly bus: SimBus;
  readonly checks: Checks;
  readonly liar: Liar | undefined;
  readonly csps: readonly Csp[];
  readonly start: (csp: Csp, n: number) => Promise<void>;
  readonly replicas: number;
  readonly secret: () => string;
};

function createWorld(options: SimOptions): World {
  const { seed, without = new Set(), restored, dishonest, federation } = options;
  const random = seeded(seed);
  const happened: Fault[] = [];
  const plan = seeded(seed, 2);
  const scheduler = createScheduler(seeded(seed, 1), plan.pick([1, 5, 20]));
  const storm = plan.pick([0, 0.3, 1, 1, 3]);
  const faults = createFaults(seeded(seed, 3), { storm, without }, (fault) => {
    happened.push(fault);
    scheduler.note(`fault ${fault.n}: ${fault.what}`);
  });
  const bus: SimBus = createBus(scheduler, faults, (publisher, envelope) => checks.told(publisher, envelope));
  const replicas = plan.pick([1, 2, 2]);
  const members = dishonest === 'one' ? DOMAINS : DOMAINS.slice(0, plan.pick([2, 3]));
  const liar =
    dishonest === 'one'
      ? createLiar({ scheduler, random: seeded(seed, 4), bus, domain: seeded(seed, 5).pick(members) })
      : undefined;
  const checks: Checks = createChecks(scheduler, federation.custody, restored, liar);
  const known = new Map([...federation.identities].filter(([domain]) => members.includes(domain)));
  const keys = { last: '' };
  const leaves = new Map<string, Digest>();
  const network = fakeNetwork();
  const csps = [...known.values()].map((identity): Csp => {
    bus.join(identity.domain);
    return cspOf(
      {
        mutant: mutantFor(options.mutant, liar, identity.domain),
        options,
        scheduler,
        faults,
        network,
        leaves,
        opened: (key) => (keys.last = key),
      },
      identity,
    );
  });
  const start = starter({ options, scheduler, faults, random, bus, liar }, known, leaves);
  const parts = { options, scheduler, faults, happened, storm, plan, random, bus, checks, liar, csps, start, replicas };
  return { ...parts, secret: () => keys.last };
}

/** The liar breaks rules of its own; the others are what the history is about. */
const mutantFor = (mutant: Mutant, liar: Liar | undefined, domain: TrustDomain): Mutant =>
  liar?.domain === domain ? liar.mutant : mutant;

type HostParts = Pick<World, 'options' | 'scheduler' | 'faults'> & {
  readonly mutant: Mutant;
  readonly network: FakeNetwork;
  readonly leaves: Map<string, Digest>;
  readonly opened: (key: string) => void;
};

function cspOf({ mutant, options, scheduler, faults, network, leaves, opened }: HostParts, identity: Identity): Csp {
  const { federation } = options;
  const hostOptions: HostOptions = {
    scheduler,
    faults,
    network,
    identity,
    custody: federation.custody,
    log,
    spoil: mutant.hostPorts ?? ((ports) => ports),
    opened,
    crashed: (host) => {
      scheduler.kill(host.life);
      scheduler.at(scheduler.elapsedMs() + RESTART_MS, () => startAgent(host, hostOptions));
    },
  };
  const host = createSimHost(hostOptions);
  leaves.set(identity.agent.chain[0] ?? '', host.fake.leaf);
  return {
    domain: identity.domain,
    identity,
    database: federation.databaseOf(identity.domain),
    sessions: newSessions(),
    host,
    heads: new Map(),
    replicas: [],
    lives: [],
    restored: false,
  };
}

/** Starts a replica, and again whenever it dies. */
function starter(
  { options, scheduler, faults, random, bus, liar }: Pick<World, 'options' | 'scheduler' | 'faults' | 'random' | 'bus' | 'liar'>,
  identities: ReadonlyMap<TrustDomain, Identity>,
  leaves: ReadonlyMap<string, Digest>,
): World['start'] {
  const { federation } = options;
  const start = (csp: Csp, n: number): Promise<void> => {
    const life = scheduler.life(`${csp.domain}.${n}`);
    life.skewMs = csp.lives[n]?.skewMs ?? 0;
    csp.lives[n] = life;
    csp.replicas[n] = undefined;
    const dies = (how: string): void => {
      scheduler.note(`${life.name} ${how}`);
      scheduler.kill(life);
      scheduler.at(scheduler.elapsedMs() + RESTART_MS, () => void start(csp, n));
    };
    const { database, sessions, host, identity } = csp;
    const mutant = mutantFor(options.mutant, liar, csp.domain);
    const tampering = liar?.domain === csp.domain ? liar.tampering : (journal: Journal): Journal => journal;
    const store = openSimStore({ scheduler, faults, database, sessions, life, crash: () => dies('crashes') });
    return scheduler.within(life, () =>
      startReplica({
        scheduler,
        random,
        faults,
        bus,
        life,
        store,
        host,
        identity,
        identities,
        custody: federation.custody,
        leafOf: (certificate) => leaves.get(certificate) ?? digestOf('0'),
        openHeadFile: async (_, audience) => (mutant.forgetsHeads === true ? volatileHead() : headFileOf(csp, audience)),
        log,
        metrics,
        mutant,
        tampering,
      }).then(
        (replica) => {
          csp.replicas[n] = replica;
        },
        (cause: unknown) => {
          if (!life.dead) dies(`does not start: ${String(cause)}`);
        },
      ),
    );
  };
  return start;
}

/** One history: what the seed says, and nothing else. */
export async function simulate(options: SimOptions): Promise<Outcome> {
  const world = createWorld(options);
  const { scheduler, checks, csps } = world;
  const restoreTimers = scheduler.takeTimers();
  const ends: Record<string, number> = {};
  let violation: Violation | undefined;
  try {
    violation = await live(world);
    checks.count(csps, ends);
  } finally {
    restoreTimers();
    for (const csp of csps) for (const life of csp.lives) scheduler.kill(life);
  }
  if (violation !== undefined) scheduler.note(`VIOLATION ${violation.rule}: ${violation.text}`);
  return {
    violation,
    faults: world.happened,
    trace: scheduler.trace(),
    digest: scheduler.digest(),
    steps: scheduler.steps(),
    simulatedMs: scheduler.elapsedMs(),
    ends,
  };
}

async function live({
  scheduler,
  checks,
  csps,
  replicas,
  start,
  faults,
  bus,
  plan,
  storm,
  secret,
  liar,
}: World): Promise<Violation | undefined> {
  let violation: Violation | undefined;
  const until = async (ms: number, done: () => boolean = () => false): Promise<void> => {
    while (violation === undefined && scheduler.steps() < STEPS_MAX && !done()) {
      if (!(await scheduler.step(ms))) return;
      violation = checks.mayBeWrong(csps) ? await checks.look(csps) : undefined;
    }
  };
  for (const csp of csps) for (let n = 0; n < replicas; n += 1) void start(csp, n);
  faults.pause();
  await scheduler.settle();
  await until(START_MS_MAX, () =>
    csps.every((csp) => Array.from({ length: replicas }).every((_, n) => csp.replicas[n] !== undefined)),
  );
  await introduce(scheduler, csps, until);
  await giveBirth(scheduler, csps, until);
  checks.begin();
  faults.resume();
  const calmMs = scheduler.elapsedMs() + STORM_MS;
  wishes({ scheduler, plan, csps, faults, bus, secret, liar, until: calmMs, start, storm });
  await until(calmMs);
  faults.calm();
  bus.heal();
  for (const csp of csps) for (const life of [...csp.lives, csp.host.life]) life.skewMs = 0;
  scheduler.note('calm');
  if (liar !== undefined) {
    await until(scheduler.elapsedMs() + SURFACE_MS);
    liar.surface();
    await until(scheduler.elapsedMs() + SURFACE_MS);
  }
  // Whoever sits in a started transaction or a hung call has had its accident: the rest is time.
  let askedMs = 0;
  await until(scheduler.elapsedMs() + CALM_MS_MAX, () => {
    if (scheduler.elapsedMs() - askedMs < QUIET_EVERY_MS) return false;
    askedMs = scheduler.elapsedMs();
    return checks.isQuiet(csps);
  });
  return violation ?? checks.end(csps, scheduler.steps() >= STEPS_MAX) ?? (await checks.leftovers(csps));
}
