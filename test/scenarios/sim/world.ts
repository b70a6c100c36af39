import { type Digest, type HeadPosition, migrationId, type TrustDomain, uuidv7, type VmId } from '@carnet/events';
import { fakeNetwork, type HostReply, hostCommand } from '@carnet/hypervisor';
import { createMetrics, type Log, type Metrics } from '@carnet/runtime';
import { cancel, intend } from '../../../apps/broker/src/service/intake.ts';
import type { HeadFile } from '../../../libs/journal/src/head-file.ts';
import { DISK_KEY, digestOf, SPEC, VM } from '../../../libs/saga/src/testing.ts';
import { positionOf } from '../../../libs/trust/src/index.ts';
import { createBus } from './bus.ts';
import { type Checks, createChecks, type Violation } from './checks.ts';
import { type Database, openDatabase, type Snapshot } from './database.ts';
import { createFaults, type Fault } from './faults.ts';
import { createSimHost, type HostOptions, type SimHost, startAgent } from './host.ts';
import { DOMAINS, hostOf, type Identity } from './identities.ts';
import { createKey, type SimSpares } from './keys.ts';
import type { Mutant } from './mutants.ts';
import { type Random, seeded } from './random.ts';
import { type Replica, startReplica } from './replica.ts';
import { createScheduler, type Life, type Scheduler } from './scheduler.ts';
import { newSessions, openSimStore, type Sessions } from './store.ts';

export type SimOptions = {
  readonly seed: number;
  readonly mutant: Mutant;
  readonly without?: ReadonlySet<number>;
  /** `safety`: after a restore only that nobody runs the VM twice, and that the ledgers heal (README, what it found). */
  readonly restored: 'safety' | 'all';
  readonly identities: ReadonlyMap<TrustDomain, Identity>;
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

export type Csp = {
  readonly domain: TrustDomain;
  readonly identity: Identity;
  readonly database: Database;
  readonly sessions: Sessions;
  readonly host: SimHost;
  /** Heads fsynced outside of the database; both replicas stand on one machine. */
  readonly heads: Map<TrustDomain, HeadPosition>;
  /** Beside the heads. */
  readonly spares: SimSpares;
  readonly replicas: (Replica | undefined)[];
  readonly lives: Life[];
  snapshot: Snapshot | undefined;
  restored: boolean;
};

export type World = {
  readonly scheduler: Scheduler;
  readonly csps: readonly Csp[];
  readonly checks: Checks;
};

/** Faults and wishes come for this long; then all is well, and everything must come to an end. */
const STORM_MS = 45_000;
/** After it nothing may be open any more: the deadlines of the last move, and every back-off. */
const CALM_MS_MAX = 400_000;
const STEPS_MAX = 400_000;
const RESTART_MS = 2_000;

const metrics: Metrics = createMetrics();
const silent = (): void => undefined;
const log = { debug: silent, info: silent, warn: silent, error: silent, child: () => log } as unknown as Log;

/** One history: what the seed says, and nothing else. */
export async function simulate({ seed, mutant, without = new Set(), restored, identities }: SimOptions): Promise<Outcome> {
  orders = 0;
  const random = seeded(seed);
  const faultsHappened: Fault[] = [];
  const plan = seeded(seed, 2);
  const scheduler = createScheduler(seeded(seed, 1), plan.pick([1, 5, 20]));
  const storm = plan.pick([0, 0.3, 1, 1, 3]);
  const faults = createFaults(seeded(seed, 3), { storm, without }, (fault) => {
    faultsHappened.push(fault);
    scheduler.note(`fault ${fault.n}: ${fault.what}`);
  });
  const checks = createChecks(scheduler, restored);
  const bus = createBus(scheduler, faults, (publisher, envelope) => checks.told(publisher, envelope));
  const network = fakeNetwork();
  const replicas = plan.pick([1, 2, 2]);
  const members = DOMAINS.slice(0, plan.pick([2, 3]));
  const known = new Map([...identities].filter(([domain]) => members.includes(domain)));
  const leaves = new Map<string, Digest>();
  const hostOptions = (identity: Identity): HostOptions => ({
    scheduler,
    faults,
    network,
    identity,
    log: log,
    spoil: mutant.hostPorts ?? ((ports) => ports),
    crashed: (host) => {
      scheduler.kill(host.life);
      scheduler.at(scheduler.elapsedMs() + RESTART_MS, () => startAgent(host, hostOptions(identity)));
    },
  });
  const csps: readonly Csp[] = [...known.values()].map((identity) => {
    const host = createSimHost(hostOptions(identity));
    leaves.set(identity.agent.chain[0] ?? '', host.fake.leaf);
    bus.join(identity.domain);
    return {
      domain: identity.domain,
      identity,
      database: openDatabase(),
      sessions: newSessions(),
      host,
      heads: new Map(),
      spares: new Map(),
      replicas: [],
      lives: [],
      snapshot: undefined,
      restored: false,
    };
  });
  const restoreTimers = scheduler.takeTimers();
  const ends: Record<string, number> = {};
  let violation: Violation | undefined;

  const start = (csp: Csp, n: number): Promise<void> => {
    const life = scheduler.life(`${csp.domain}.${n}`);
    life.skewMs = csp.lives[n]?.skewMs ?? 0;
    csp.lives[n] = life;
    csp.replicas[n] = undefined;
    const crash = (): void => {
      scheduler.note(`${life.name} crashes`);
      scheduler.kill(life);
      scheduler.at(scheduler.elapsedMs() + RESTART_MS, () => void start(csp, n));
    };
    const store = openSimStore({ scheduler, faults, database: csp.database, sessions: csp.sessions, life, crash });
    return scheduler.within(life, () =>
      startReplica({
        scheduler,
        random,
        faults,
        bus,
        life,
        store,
        host: csp.host,
        identity: csp.identity,
        identities: known,
        leafOf: (certificate) => leaves.get(certificate) ?? digestOf('0'),
        spares: csp.spares,
        openHeadFile: async (_, audience) => (mutant.forgetsHeads === true ? volatileHead() : headFileOf(csp, audience)),
        log: log,
        metrics,
        mutant,
      }).then(
        (replica) => {
          csp.replicas[n] = replica;
        },
        (cause: unknown) => {
          if (life.dead) return;
          scheduler.note(`${life.name} does not start: ${String(cause)}`);
          scheduler.kill(life);
          scheduler.at(scheduler.elapsedMs() + RESTART_MS, () => void start(csp, n));
        },
      ),
    );
  };

  const until = async (ms: number, done: () => boolean = () => false): Promise<void> => {
    while (violation === undefined && scheduler.steps() < STEPS_MAX && !done()) {
      if (!(await scheduler.step(ms))) return;
      violation = await checks.look(csps);
    }
  };
  try {
    for (const csp of csps) for (let n = 0; n < replicas; n += 1) void start(csp, n);
    faults.pause();
    await scheduler.settle();
    await until(5_000, () =>
      csps.every((csp) => Array.from({ length: replicas }).every((_, n) => csp.replicas[n] !== undefined)),
    );
    await introduce(scheduler, csps, until);
    await giveBirth(scheduler, csps, until);
    checks.begin();
    faults.resume();
    const from = scheduler.elapsedMs();
    wishes({ scheduler, plan, csps, faults, bus, until: from + STORM_MS, start, replicas, storm, ends });
    await until(from + STORM_MS);
    faults.calm();
    bus.heal();
    for (const csp of csps) for (const life of [...csp.lives, csp.host.life]) life.skewMs = 0;
    scheduler.note('calm');
    // Whoever sits in a started transaction or a hung call has had its accident: the rest is time.
    const limit = scheduler.elapsedMs() + CALM_MS_MAX;
    let checkedMs = 0;
    await until(limit, () => {
      if (scheduler.elapsedMs() - checkedMs < 500) return false;
      checkedMs = scheduler.elapsedMs();
      return checks.isQuiet(csps);
    });
    violation ??= checks.end(csps, scheduler.steps() >= STEPS_MAX) ?? (await checks.leftovers(csps));
    checks.count(csps, ends);
  } finally {
    restoreTimers();
    for (const csp of csps) {
      for (const life of csp.lives) scheduler.kill(life);
      csp.database.close();
    }
  }
  if (violation !== undefined) scheduler.note(`VIOLATION ${violation.rule}: ${violation.text}`);
  return {
    violation,
    faults: faultsHappened,
    trace: scheduler.trace(),
    digest: scheduler.digest(),
    steps: scheduler.steps(),
    simulatedMs: scheduler.elapsedMs(),
    ends,
  };
}

/** In memory, but outside of the database: what a restore of the database does not bring back. */
function headFileOf({ heads }: Csp, audience: TrustDomain): HeadFile {
  const read = (): HeadPosition => heads.get(audience) ?? null;
  let known = read();
  return {
    read: async () => {
      known = read();
      return known;
    },
    known: () => known,
    reach: async (head) => {
      if (positionOf(read()?.seq) < positionOf(head?.seq)) heads.set(audience, head);
      known = read();
    },
    settle: async (head) => {
      heads.set(audience, head);
      known = head;
    },
  };
}

const volatileHead = (): HeadFile => ({
  read: async () => null,
  known: () => null,
  reach: async () => undefined,
  settle: async () => undefined,
});

/** Each knows the others' event keys, as after an agreement: a CSP that was restored before anyone knew it could not be answered. */
async function introduce(
  scheduler: Scheduler,
  csps: readonly Csp[],
  until: (ms: number, done: () => boolean) => Promise<void>,
): Promise<void> {
  for (const csp of csps) {
    const replica = csp.replicas[0];
    if (replica === undefined) throw new Error(`${csp.domain} has not started`);
    for (const peer of csps)
      if (peer !== csp)
        void scheduler.within(replica.life, () =>
          replica.journal.append(peer.domain, async () => ({ drafts: [], announce: true, value: null })),
        );
  }
  await scheduler.settle();
  const ledgers = csps.length * (csps.length - 1);
  const known = (): boolean =>
    csps.every(
      ({ database }) => database.rows('select publisher from ledgers where head_seq > 0').length === (ledgers * 2) / csps.length,
    );
  await until(scheduler.elapsedMs() + 30_000, known);
  if (!known()) throw new Error('the CSPs were not introduced');
}

export const SECRET = Buffer.alloc(32, 7).toString('base64');

/** One VM, running at the first CSP. */
async function giveBirth(
  scheduler: Scheduler,
  csps: readonly Csp[],
  until: (ms: number, done: () => boolean) => Promise<void>,
): Promise<void> {
  const [home] = csps;
  const replica = home?.replicas[0];
  if (home === undefined || replica === undefined) throw new Error('no CSP has started');
  let born = false;
  const ask = async (step: string, body: object): Promise<void> => {
    const reply = await order(scheduler, home, step, body);
    if (reply.status !== 'done') throw new Error(JSON.stringify(reply));
  };
  const work = scheduler.within(replica.life, async () => {
    await ask('createVm', { spec: SPEC, secrets: [{ key: DISK_KEY, sealed: SECRET }] });
    await ask('startVm', { secrets: [{ key: DISK_KEY, sealed: SECRET }] });
    const rows = home.database.connect(
      async () => undefined,
      () => undefined,
    );
    await createKey(rows, DISK_KEY, SECRET);
    await replica.context.inventory.add(rows, { vm: VM, spec: SPEC, host: hostOf(home.domain), epoch: 0 });
    born = true;
  });
  let failure: unknown;
  work.catch((cause: unknown) => {
    failure = cause;
  });
  await scheduler.settle();
  await until(scheduler.elapsedMs() + 60_000, () => born || failure !== undefined);
  if (!born) throw new Error(`the VM was not born: ${String(failure)}`);
}

let orders = 0;
/** A command to a host outside of any migration, as an operator gives it. */
export function order(scheduler: Scheduler, csp: Csp, step: string, body: object): Promise<HostReply> {
  orders += 1;
  const id = `00000000-0000-4000-8000-${String(orders).padStart(12, '0')}`;
  const deadline = new Date(scheduler.nowMs() + 600_000).toISOString();
  const command = hostCommand.parse({ id, host: hostOf(csp.domain), deadline, step, vm: VM, body });
  return scheduler.within(csp.host.life, () => csp.host.agent.handle(command));
}

type Wishes = {
  readonly scheduler: Scheduler;
  readonly plan: Random;
  readonly csps: readonly Csp[];
  readonly faults: ReturnType<typeof createFaults>;
  readonly bus: ReturnType<typeof createBus>;
  readonly until: number;
  readonly start: (csp: Csp, n: number) => Promise<void>;
  readonly replicas: number;
  readonly storm: number;
  readonly ends: Record<string, number>;
};

const vmOf = (): VmId => VM;

/** What people want, and what befalls machines, over the time of the storm. */
function wishes(of: Wishes): void {
  const { scheduler, plan, csps, until } = of;
  const every = (meanMs: number, act: () => void): void => {
    const again = (): void => {
      const at = scheduler.elapsedMs() + 100 + Math.floor(-Math.log(1 - plan.next()) * meanMs);
      if (at < until)
        scheduler.at(at, () => {
          act();
          again();
        });
    };
    again();
  };
  const anyReplica = (csp: Csp): Replica | undefined => {
    const n = plan.below(csp.lives.length);
    return csp.lives[n]?.dead === false ? csp.replicas[n] : undefined;
  };
  every(4_000, () => {
    const csp = plan.pick(csps);
    const target = plan.pick(csps.filter((other) => other !== csp));
    const replica = anyReplica(csp);
    const bytes = plan.bytes(10);
    const holder = csp.database.rows('select vm from broker_vms').length > 0;
    if (replica === undefined || !holder) return;
    const migration = migrationId.parse(uuidv7(scheduler.nowMs(), bytes));
    scheduler.note(`${csp.domain} wishes ${migration.slice(-4)} to ${target.domain}`);
    const request = { v: 1, kind: 'move', migration, vm: vmOf(), target: target.domain, mode: 'cold' } as unknown as Parameters<
      typeof intend
    >[1];
    const record = { via: 'mtls', principal: `spiffe://${csp.domain}/operator`, digest: digestOf('8') } as Parameters<
      typeof intend
    >[2];
    const shown = { kind: 'none' } as unknown as Parameters<typeof intend>[3];
    scheduler
      .within(replica.life, () => intend(replica.intake, request, record, shown))
      .then(
        (result) => scheduler.note(`${csp.domain} intends: ${result.ok ? 'yes' : result.code}`),
        (cause: unknown) => scheduler.note(`${csp.domain} intends: ${String(cause)}`),
      );
  });
  every(4_000, () => {
    const csp = plan.pick(csps);
    const replica = anyReplica(csp);
    if (replica === undefined) return;
    scheduler
      .within(replica.life, async () => {
        for (const journey of await replica.context.ledgers.journeys(vmOf()))
          for (const m of journey.migrations.filter(
            ({ source, sourcePhase }) => source === csp.domain && sourcePhase !== 'retired' && sourcePhase !== 'resumed',
          )) {
            const result = await cancel(replica.intake, m, 'operator', 'changed my mind');
            scheduler.note(`${csp.domain} cancels: ${result.ok ? 'yes' : result.code}`);
          }
      })
      .catch(() => undefined);
  });
  // Somebody at the console of a host starts the VM there, whatever the brokers say.
  every(6_000, () => {
    const csp = plan.pick(csps);
    if (!csp.host.life.dead) void order(scheduler, csp, 'startVm', { secrets: [{ key: DISK_KEY, sealed: SECRET }] });
  });
  if (of.storm > 0) misfortunes(of, (meanMs, act) => every(meanMs / of.storm, act));
}

function misfortunes(
  { scheduler, plan, csps, faults, bus, start }: Wishes,
  every: (meanMs: number, act: () => void) => void,
): void {
  const crash = (csp: Csp, n: number): void => {
    const life = csp.lives[n];
    if (life === undefined || life.dead) return;
    scheduler.kill(life);
    scheduler.at(scheduler.elapsedMs() + RESTART_MS, () => void start(csp, n));
  };
  every(12_000, () => {
    const csp = plan.pick(csps);
    const n = plan.below(csp.lives.length);
    if (faults.due(`${csp.domain}.${n} is killed`)) crash(csp, n);
  });
  every(10_000, () => {
    const csp = plan.pick(csps);
    const ms = plan.below(15_000);
    if (faults.due(`${csp.domain} is cut off for ${ms} ms`)) bus.cutOff(csp.domain, ms);
  });
  every(15_000, () => {
    const names = bus.names();
    const name = names[plan.below(Math.max(1, names.length))];
    if (name !== undefined && faults.due(`stream ${name} is lost`)) bus.wipe(name);
  });
  every(15_000, () => {
    const names = bus.names();
    const name = names[plan.below(Math.max(1, names.length))];
    if (name !== undefined && faults.due(`stream ${name} is withheld`)) bus.withhold(name, 10_000);
  });
  every(10_000, () => {
    const csp = plan.pick(csps);
    const life = plan.pick([...csp.lives, csp.host.life]);
    const ms = plan.below(60_000) - 30_000;
    if (faults.due(`clock of ${life.name} by ${ms} ms`)) life.skewMs = ms;
  });
  // One CSP at a time: its database comes back as it was some seconds ago.
  every(25_000, () => {
    const csp = plan.pick(csps);
    const ms = 50 + plan.below(3_000);
    const snapshot = csp.database.snapshot();
    scheduler.at(scheduler.elapsedMs() + ms, () => {
      if (!faults.due(`${csp.domain} restores its database of ${ms} ms ago`)) return;
      csp.restored = true;
      for (const life of csp.lives) scheduler.kill(life);
      csp.database.restore(snapshot);
      for (let n = 0; n < csp.lives.length; n += 1) scheduler.at(scheduler.elapsedMs() + RESTART_MS, () => void start(csp, n));
    });
  });
}
