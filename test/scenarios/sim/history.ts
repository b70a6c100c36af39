import { giveBirth, introduce } from './birth.ts';
import { keepDiscarding } from './discard.ts';
import type { Fault } from './faults.ts';
import { moves } from './moves.ts';
import { OWNED } from './people.ts';
import { keepSayingHello, keepSwitchingOn } from './power.ts';
import type { Violation } from './violation.ts';
import { wishes } from './wishes.ts';
import { createWorld, type SimOptions, type World } from './world.ts';

export type Outcome = {
  readonly violation: Violation | undefined;
  readonly faults: readonly Fault[];
  readonly trace: readonly string[];
  readonly digest: string;
  readonly steps: number;
  readonly simulatedMs: number;
  /** Migrations, by how they ended. */
  readonly ends: Readonly<Record<string, number>>;
  /** How often the VM went to another CSP, to a third, and back. */
  readonly rounds: number;
  /** Where a process could have died, in a scripted history. */
  readonly places: number;
};

/** After the storm nothing may be open any more: the deadlines of the last move, and every back-off. */
const CALM_MS_MAX = 400_000;
const STEPS_MAX = 400_000;
const START_MS_MAX = 5_000;
/** Until people have given up, or broken the glass. */
const GLASS_MS_MAX = 120_000;
/** What lies need to arrive, once nothing hinders them any more. */
const SURFACE_MS = 20_000;
/** The broker looks at what is open every 15 s, and every 2 s for what it has forgotten; a key operation gives up after 20 s, and a host says every 10 s which secrets it lacks. */
const CLEARED_MS_MAX = 45_000;
/** What a command that has arrived may take. */
const ARRIVED_MS = 5_000;
/** How often it is asked whether all is quiet. */
const QUIET_EVERY_MS = 500;

/** One history: what the seed says, and nothing else. */
export async function simulate(options: SimOptions): Promise<Outcome> {
  const world = createWorld(options);
  const { scheduler, checks, csps } = world;
  const restoreTimers = scheduler.takeTimers();
  let counted: Pick<Outcome, 'ends' | 'rounds'> = { ends: {}, rounds: 0 };
  let violation: Violation | undefined;
  let places = 0;
  try {
    violation = await live(world);
    places = world.places();
    counted = checks.count(csps);
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
    ...counted,
    places,
  };
}

async function live(world: World): Promise<Violation | undefined> {
  const { scheduler, checks, csps, replicas, start, faults, bus, liar, glass } = world;
  let violation: Violation | undefined;
  const until = async (ms: number, done: () => boolean = () => false): Promise<void> => {
    while (violation === undefined && scheduler.steps() < STEPS_MAX && !done()) {
      if (!(await scheduler.step(ms))) return;
      forget(world);
      violation = glass?.wrong() ?? (checks.mayBeWrong(csps) ? await checks.look(csps) : undefined);
    }
  };
  for (const csp of csps) for (let n = 0; n < replicas; n += 1) void start(csp, n);
  faults.pause();
  await scheduler.settle();
  await until(START_MS_MAX, () =>
    csps.every((csp) => Array.from({ length: replicas }).every((_, n) => csp.replicas[n] !== undefined)),
  );
  // Most CSPs have agreed before; the others know nobody's key, and one of them may be restored first.
  if (world.options.seed % 7 !== 2) await introduce(scheduler, csps, until);
  await giveBirth(scheduler, csps, until, glass === undefined ? undefined : OWNED);
  checks.begin();
  faults.resume();
  const { script } = world.options;
  const calmMs = scheduler.elapsedMs() + world.stormMs;
  for (const csp of csps) keepSayingHello(scheduler, csp);
  if (script === undefined) wishes({ ...world, until: calmMs });
  else moves(world, script);
  await until(calmMs);
  if (glass !== undefined) await until(scheduler.elapsedMs() + GLASS_MS_MAX, glass.isOver);
  faults.calm();
  bus.heal();
  for (const csp of csps) for (const life of [...csp.lives, csp.host.life]) life.skewMs = 0;
  scheduler.note('calm');
  checks.calm();
  glass?.calm();
  if (glass !== undefined) keepDiscarding(scheduler, csps, glass);
  // Who did not switch it off need not switch it on. A power cut that was under way still comes.
  if (glass !== undefined || csps.some(({ host }) => host.maybeOff)) keepSwitchingOn(scheduler, csps);
  else for (const { host } of csps) host.onPowerLost = () => keepSwitchingOn(scheduler, csps);
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
    return !csps.some(({ host }) => host.unplugged || host.hangsUntilMs > askedMs) && checks.isQuiet(csps);
  });
  const wrong = violation ?? checks.end(csps, scheduler.steps() >= STEPS_MAX);
  if (wrong !== undefined) return wrong;
  // What was held back comes now: its time is over, and it must change nothing.
  await until(Math.max(...csps.map(({ host }) => host.lastCommandMs)) + ARRIVED_MS);
  const left = await nothingLeft(world, until);
  return violation ?? left ?? checks.end(csps, scheduler.steps() >= STEPS_MAX);
}

/** What a mutant does not keep. */
function forget({ options, csps }: World): void {
  const { forgives, signedHeads } = options.mutant;
  for (const { database } of csps) {
    if (forgives === true) database.rows('delete from proofs');
    if (signedHeads === 'unkept') database.rows('update peers set head_envelope = null');
  }
}

/** What has ended is cleared up within the time in which every journey is looked at once more. */
async function nothingLeft(
  { scheduler, checks, csps }: World,
  until: (ms: number) => Promise<void>,
): Promise<Violation | undefined> {
  const endMs = scheduler.elapsedMs() + CALM_MS_MAX;
  let quietMs = scheduler.elapsedMs();
  let left = await checks.leftovers(csps);
  // What was asked for in the last moment of the storm may open a migration when all else is over.
  let isQuiet = checks.isQuiet(csps);
  for (
    let ms = quietMs;
    (left !== undefined || !isQuiet) && ms <= Math.min(quietMs + CLEARED_MS_MAX, endMs);
    ms += QUIET_EVERY_MS
  ) {
    await until(ms);
    // A restored database may be quiet before its last events are back.
    isQuiet = checks.isQuiet(csps);
    if (!isQuiet) quietMs = ms;
    left = await checks.leftovers(csps);
  }
  return left;
}
