import type { Digest, TrustDomain } from '@carnet/events';
import { type FakeNetwork, fakeNetwork, type HostPorts } from '@carnet/hypervisor';
import type { Journal } from '@carnet/journal';
import { createMetrics, type Log, type Metrics } from '@carnet/runtime';
import type { FactType } from '@carnet/saga';
import { refused } from '../../../libs/hypervisor/src/codes.ts';
import { setBack } from '../../../libs/hypervisor/src/outcome.ts';
import { DISK_KEY, digestOf } from '../../../libs/saga/src/testing.ts';
import { createBus, type SimBus } from './bus.ts';
import { type Checks, createChecks } from './checks.ts';
import { type Csp, RESTART_MS } from './csp.ts';
import { type Around, createElsewhere, type Elsewhere, textOf } from './elsewhere.ts';
import { type Accidental, createCrash, createFaults, type Fault, type Faults, type Instead } from './faults.ts';
import type { Federation } from './federation.ts';
import { createGlass, GLASS_DEADLINE_MS, type Glass, type GlassScene, mayBreakGlass } from './glass.ts';
import { coveredKeptOf, headFileOf } from './heads.ts';
import { createSimHost, type HostOptions, type PlainKey } from './host.ts';
import { DOMAINS, type Identity } from './identities.ts';
import { createLiar, type Liar } from './liar.ts';
import { instead, type Mutant } from './mutants.ts';
import { restartLibvirt } from './power.ts';
import { type Random, STEADY, seeded } from './random.ts';
import { DEADLINE_MS, startReplica, UNANSWERED_OFFERS } from './replica.ts';
import { createScheduler, type Scheduler } from './scheduler.ts';
import { newSessions, openSimStore } from './store.ts';
import { STORM_MS_MAX, type Way } from './wishes.ts';

export type SimOptions = {
  readonly seed: number;
  readonly mutant: Mutant;
  readonly without?: ReadonlySet<number>;
  /** Whether one CSP, drawn by the seed, lies. */
  readonly dishonest: 'nobody' | 'one';
  readonly federation: Federation;
  /** Instead of what the seed draws: one VM's way, and one crash. */
  readonly script?: Script;
  /** Whether the trace tells what processes log. */
  readonly logs?: boolean;
};

/** `crashAt`: at which of all places where a process can die, from 1. */
export type Script = Story & { readonly crashAt: number };
export type Story = {
  /** Where the VM goes, from each to the next: the first two of the CSPs, or on, and back. */
  readonly route: readonly number[];
  /** When its operator changes his mind: so many ms after the request, or once the source has this event. */
  readonly cancel: number | FactType | undefined;
  readonly way: Way;
  readonly accident: Accidental;
  /** At each of these places, instead of that. */
  readonly elsewhere?: Elsewhere;
  /** The target takes nothing; finds that what was released opens no volume, and gives the VM back; or is cut off from the release on, and people break the glass. */
  readonly beside?: 'refusal' | 'wrong-key' | GlassScene;
};

/** The wishes of each move of a script are over by then; and its release is said by then, whoever dies before. */
const SCRIPT_MS = 2_000;
const SCRIPT_WITH_GLASS_MS = 10_000;

const scriptMs = ({ route, elsewhere }: Story, scene: GlassScene | undefined): number =>
  (scene === undefined ? SCRIPT_MS * (route.length - 1) : SCRIPT_WITH_GLASS_MS) +
  (elsewhere?.what === 'bus away' ? elsewhere.ms : 0);

const metrics: Metrics = createMetrics();

/** What a process logs, in the trace where it is asked for. */
function logOf({ logs }: SimOptions, { note }: Pick<Scheduler, 'note'>, name: string): Log {
  const line = (fields: unknown, text?: string): void => {
    if (logs === true) note(`  ${name}: ${text ?? ''} ${JSON.stringify(fields)}`);
  };
  const log = { debug: line, info: line, warn: line, error: line, child: () => log } as unknown as Log;
  return log;
}

/** The parts of one history, as its seed draws them. */
export type World = {
  readonly options: SimOptions;
  readonly scheduler: Scheduler;
  readonly faults: Faults;
  readonly happened: Fault[];
  /** How likely faults are. */
  readonly storm: number;
  /** Faults and wishes come for this long; then all is well, and everything must come to an end. */
  readonly stormMs: number;
  readonly plan: Random;
  readonly random: Random;
  readonly bus: SimBus;
  readonly checks: Checks;
  readonly liar: Liar | undefined;
  readonly glass: Glass | undefined;
  readonly csps: readonly Csp[];
  readonly start: (csp: Csp, n: number) => Promise<void>;
  readonly replicas: number;
  readonly secret: () => PlainKey;
  /** Where a process could die, so far. */
  readonly places: () => number;
};

export function createWorld(options: SimOptions): World {
  const { seed, without = new Set(), dishonest, federation, script } = options;
  const random = seeded(seed);
  const happened: Fault[] = [];
  const plan = seeded(seed, 2);
  const drawn = {
    pace: plan.pick([1, 5, 20]),
    storm: plan.pick([0.3, 0.3, 1, 1, 3]),
    stormMs: plan.pick([STORM_MS_MAX / 4, STORM_MS_MAX / 2, STORM_MS_MAX / 2, STORM_MS_MAX]),
    replicas: plan.pick([1, 2, 2]),
  };
  const scene = typeof script?.beside === 'object' ? script.beside : undefined;
  const { pace, storm, stormMs, replicas } =
    script === undefined ? drawn : { pace: 1, storm: 0, stormMs: scriptMs(script, scene), replicas: 1 };
  const scheduler = createScheduler(seeded(seed, 1), pace);
  const note = (fault: Fault): void => {
    happened.push(fault);
    scheduler.note(`fault ${fault.n}: ${fault.what}`);
  };
  const crash: ReturnType<typeof createCrash> | undefined =
    script === undefined
      ? undefined
      : createCrash(
          script.crashAt,
          script.accident,
          insteadOf(script, () => ({ scheduler, csps, faults, options, start, bus, hindered: checks.hindered })),
          note,
        );
  const faults: Faults = crash ?? createFaults(seeded(seed, 3), { storm, without }, note);
  const bus: SimBus = createBus(scheduler, faults, (publisher, envelope) => {
    checks.told(publisher, envelope);
    glass?.told(envelope);
  });
  const members =
    dishonest === 'one' ? DOMAINS : DOMAINS.slice(0, script === undefined ? plan.pick([2, 3]) : Math.max(...script.route) + 1);
  const liar =
    dishonest === 'one'
      ? createLiar({ scheduler, random: seeded(seed, 4), bus, domain: seeded(seed, 5).pick(members) })
      : undefined;
  const people = glassRandom(options, scene);
  const glass =
    people === undefined
      ? undefined
      : createGlass({
          scheduler,
          random: people,
          scene,
          bus,
          csps: () => csps,
          spoil: options.mutant.glass ?? ((ports) => ports),
        });
  const checks: Checks = createChecks(scheduler, federation.custody, liar, glass);
  const known = new Map([...federation.identities].filter(([domain]) => members.includes(domain)));
  const keys: { last: PlainKey } = { last: { key: DISK_KEY, sealed: '' } };
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
  const start = starter({ options, scheduler, faults, random, bus, checks, liar, glass }, known, leaves);
  const parts = {
    options,
    scheduler,
    faults,
    happened,
    storm,
    stormMs,
    plan,
    random,
    bus,
    checks,
    liar,
    glass,
    csps,
    start,
    replicas,
  };
  return { ...parts, secret: () => keys.last, places: () => crash?.places() ?? 0 };
}

const insteadOf = ({ elsewhere }: Story, parts: () => Around): Instead | undefined =>
  elsewhere === undefined ? undefined : { text: textOf(elsewhere), happens: createElsewhere(elsewhere, parts) };

/** By what people break the glass, if they may. */
function glassRandom({ seed, dishonest, script }: SimOptions, scene: GlassScene | undefined): Random | undefined {
  if (script !== undefined) return scene === undefined ? undefined : STEADY;
  return dishonest === 'nobody' && mayBreakGlass(seed) ? seeded(seed, 6) : undefined;
}

/** The liar breaks rules of its own; the others are what the history is about. */
const mutantFor = (mutant: Mutant, liar: Liar | undefined, domain: TrustDomain): Mutant =>
  liar?.domain === domain ? liar.mutant : mutant;

type HostParts = Pick<World, 'options' | 'scheduler' | 'faults'> & {
  readonly mutant: Mutant;
  readonly network: FakeNetwork;
  readonly leaves: Map<string, Digest>;
  readonly opened: (key: PlainKey) => void;
};

function cspOf({ mutant, options, scheduler, faults, network, leaves, opened }: HostParts, identity: Identity): Csp {
  const { federation } = options;
  const hostOptions: HostOptions = {
    scheduler,
    faults,
    network,
    identity,
    custody: federation.custody,
    log: logOf(options, scheduler, `agent of ${identity.domain}`),
    spoil: (ports, domain) => {
      const spoiled = mutant.hostPorts?.(ports, domain) ?? ports;
      return options.script?.beside === 'wrong-key' ? opensNothingThatArrives(spoiled) : spoiled;
    },
    opened,
    libvirtRestarts: () => restartLibvirt(scheduler, csp),
  };
  const host = createSimHost(hostOptions);
  leaves.set(identity.agent.chain[0] ?? '', host.fake.leaf);
  const csp: Csp = {
    domain: identity.domain,
    identity,
    database: federation.databaseOf(identity.domain),
    sessions: newSessions(),
    host,
    heads: new Map(),
    relied: new Map(),
    boots: new Map(),
    boot: 1,
    isUnkept: false,
    reliedUnkept: new Set(),
    isUnspared: false,
    spares: new Map(),
    replicas: [],
    lives: [],
    restores: 0,
  };
  return csp;
}

const opensNothingThatArrives = ({ volumes, ...ports }: HostPorts): HostPorts => ({
  ...ports,
  volumes: instead(volumes, {
    unlock: async (path, passphrase) =>
      path.includes('/staging/') ? setBack(refused('LUKS_DOES_NOT_OPEN')) : volumes.unlock(path, passphrase),
  }),
});

/** Starts a replica, and again whenever it dies. */
function starter(
  {
    options,
    scheduler,
    faults,
    random,
    bus,
    checks,
    liar,
    glass,
  }: Pick<World, 'options' | 'scheduler' | 'faults' | 'random' | 'bus' | 'checks' | 'liar' | 'glass'>,
  identities: ReadonlyMap<TrustDomain, Identity>,
  leaves: ReadonlyMap<string, Digest>,
): World['start'] {
  const { federation } = options;
  const start = (csp: Csp, n: number): Promise<void> => {
    // Two accidents at once have one process started again: a second one would be nobody's, and outlive a restore.
    if (csp.lives[n]?.dead === false) return Promise.resolve();
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
        crash: () => dies('crashes'),
        store,
        host,
        identity,
        identities,
        custody: federation.custody,
        leafOf: (certificate) => leaves.get(certificate) ?? digestOf('0'),
        spares: csp.spares,
        openHeadFile: async (_, peer, of) =>
          headFileOf(of === 'head' ? csp.heads : csp.relied, peer, mutant.heads ?? 'kept', coveredKeptOf(options.seed)),
        boots: mutant.boots ?? {
          look: () => undefined,
          isCompared: async (peer) => csp.boots.get(peer) === csp.boot,
          compared: async (peer) => void csp.boots.set(peer, csp.boot),
        },
        deadlineMs: glass === undefined ? DEADLINE_MS : GLASS_DEADLINE_MS,
        unansweredOffers: options.script?.beside === 'refusal' ? 0 : UNANSWERED_OFFERS,
        log: logOf(options, scheduler, life.name),
        metrics,
        mutant,
        tampering,
        folded: (peer, journey) => checks.folded(csp.domain, peer, journey),
        looked: (peer) => checks.looked(csp.domain, peer),
      }).then(
        (replica) => {
          csp.replicas[n] = replica;
          csp.isUnkept = false;
        },
        (cause: unknown) => {
          if (!life.dead) dies(`does not start: ${String(cause)}`);
        },
      ),
    );
  };
  return start;
}
