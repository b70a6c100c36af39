// npm run simulate: many seeds in child processes, or one with its trace.
import { fork } from 'node:child_process';
import { availableParallelism } from 'node:os';
import { z } from 'zod';
import { commandOf, givenOf, HELP, parseWanted, type Wanted } from './sim/arguments.ts';
import { CAUGHT } from './sim/caught.ts';
import { MUTANTS } from './sim/mutants.ts';
import { runSeed, type Setting, shrink } from './sim/run.ts';
import { CRASHES } from './sim/stories.ts';

const done = z.object({
  seed: z.number(),
  rule: z.string().optional(),
  text: z.string(),
  migrations: z.number(),
  faults: z.number(),
});
type Done = z.infer<typeof done>;
type Many = Extract<Wanted, { readonly kind: 'many' }>;
const say = (text: string): void => void process.stdout.write(`${text}\n`);

async function one(seed: number, setting: Setting): Promise<number> {
  const first = await runSeed(seed, setting);
  if (first.violation === undefined) {
    for (const line of first.trace) say(line);
    say(`seed ${seed}: no violation, ${first.steps} steps, ${first.faults.length} faults, trace ${first.digest}`);
    return 0;
  }
  const { outcome, without } = await shrink(seed, setting, first);
  for (const line of outcome.trace) say(line);
  say(
    `seed ${seed}: ${first.faults.length} faults, of which these are needed: ${outcome.faults.map(({ what }) => what).join('; ') || 'none'}`,
  );
  say(
    `seed ${seed}: VIOLATION ${outcome.violation?.rule}: ${outcome.violation?.text} (${without.size} faults left out, trace ${outcome.digest})`,
  );
  return 1;
}

const failure = ({ seed, rule, text }: Done, setting: Setting): string =>
  `seed ${seed}: ${rule}: ${text}\n  its trace, and the fewest faults that it needs: ${commandOf(seed, setting)}`;

/** Seeds that a child takes at a time. */
const CHUNK = 20;
const SAY_EVERY_MS = 10_000;
/** What a shell says of a process that SIGINT ended. */
const INTERRUPTED = 130;

/**
 * Seeds are dealt out in chunks: whoever is free takes the next. Interrupted, it says from where to go on: every seed below is done.
 * Answers the exit code.
 */
function many({ from, seeds, every, processes, setting }: Many, given: readonly string[]): Promise<number> {
  const startedMs = performance.now();
  let [next, migrations, saidMs] = [from, 0, startedMs];
  const open = new Set<number>();
  const all: Done[] = [];
  const { promise, resolve } = Promise.withResolvers<number>();
  const summary = (): string => {
    const seconds = (performance.now() - startedMs) / 1_000;
    const faults = all.reduce((sum, seed) => sum + seed.faults, 0);
    const failed = all.filter(({ rule }) => rule !== undefined).length;
    return `${all.length} seeds, ${migrations} migrations, ${faults} faults, ${failed} violations, ${seconds.toFixed(0)} s, ${(all.length / seconds).toFixed(2)} seeds/s`;
  };
  const whatIsLeft = (): string => {
    const first = Math.min(next, ...open);
    const steps = every === 1 ? '' : ` --every ${every}`;
    return `--from ${first} --seeds ${seeds - (first - from) / every}${steps}`;
  };
  const children = Array.from({ length: processes }, () => {
    const child = fork(new URL(import.meta.url), ['--child', ...given], { execArgv: execArgvOf(setting) });
    const deal = (): void => {
      const left = seeds - (next - from) / every;
      const chunk = Array.from({ length: Math.min(CHUNK, left) }, (_, i) => next + i * every);
      if (chunk.length === 0) {
        child.disconnect();
        return;
      }
      next += chunk.length * every;
      for (const seed of chunk) open.add(seed);
      child.send(chunk);
    };
    let mine = 0;
    child.on('message', (message) => {
      const seed = done.parse(message);
      all.push(seed);
      open.delete(seed.seed);
      migrations += seed.migrations;
      if (seed.rule !== undefined) say(failure(seed, setting));
      if (performance.now() - saidMs > SAY_EVERY_MS) {
        saidMs = performance.now();
        say(`… ${summary()}; the rest: ${whatIsLeft()}`);
      }
      mine += 1;
      if (mine % CHUNK === 0 || all.length === seeds) deal();
      if (all.length === seeds) resolve(all.some(({ rule }) => rule !== undefined) ? 1 : 0);
    });
    child.on('exit', (code) => {
      if (code !== 0 && code !== null) {
        say(`a child process ended with ${code}; the rest: ${whatIsLeft()}`);
        resolve(1);
      }
    });
    deal();
    return child;
  });
  const interrupted = (): void => {
    for (const child of children) child.kill();
    say(`interrupted; the rest: ${whatIsLeft()}`);
    resolve(INTERRUPTED);
  };
  process.once('SIGINT', interrupted).once('SIGTERM', interrupted);
  return promise.finally(() => {
    process.off('SIGINT', interrupted).off('SIGTERM', interrupted);
    // One whose last share was a small one waits for another.
    for (const child of children) if (child.connected) child.disconnect();
    say(summary());
  });
}

/** Every place where a process can die in each story: all of them, none twice, and nothing else happens. */
async function eachCrash({
  stories,
  insteads,
  every,
  processes,
  setting,
}: Extract<Wanted, { kind: 'crashes' }>): Promise<number> {
  let worst = 0;
  for (const crashes of stories)
    for (const instead of insteads) {
      // What happens instead needs the places of processes that die.
      if (instead !== 'no' && CRASHES[crashes].accident !== 'crash ') continue;
      const story = { ...setting, crashes, instead };
      // A crash beyond the last place: nothing happens, and the places are counted.
      const { places, ends, violation } = await runSeed(Number.MAX_SAFE_INTEGER, story);
      const name = instead === 'no' ? crashes : `${crashes}, ${instead}`;
      say(`${name}: ${places} places, undisturbed: ${violation?.rule ?? Object.keys(ends).join(', ')}`);
      const seeds = Math.ceil(places / every);
      const given = [...givenOf(story), '--from', '1', '--seeds', String(seeds)];
      const code = await many({ kind: 'many', from: 1, seeds, every, processes, setting: story }, given);
      if (code === INTERRUPTED) return code;
      worst = Math.max(worst, code);
    }
  return worst;
}

async function eachMutant({ from, seeds, setting }: Extract<Wanted, { readonly kind: 'mutants' }>): Promise<number> {
  let missed = 0;
  say('| Mutant | What is broken | Caught by seed | as |\n|---|---|---|---|');
  for (const mutant of MUTANTS) {
    const said = CAUGHT[mutant.name];
    const until = Math.max(from + seeds, (said?.seed ?? 0) + 1);
    let caught: string | undefined;
    let seed = from;
    for (; seed < until && caught === undefined; seed += 1) {
      const rule = (await runSeed(seed, { ...setting, mutant })).violation?.rule;
      // Other rules may break earlier by what follows.
      if (said === undefined || rule === said.as) caught = rule;
    }
    if (caught === undefined) missed += 1;
    say(`| ${mutant.name} | ${mutant.breaks} | ${caught === undefined ? `none before ${until}` : seed - 1} | ${caught ?? '–'} |`);
  }
  say(`${MUTANTS.length - missed} of ${MUTANTS.length} mutants caught`);
  return missed === 0 ? 0 : 1;
}

function serve(setting: Setting): void {
  process.on('message', (chunk) => {
    const run = async (): Promise<void> => {
      for (const seed of z.array(z.number()).parse(chunk)) {
        const { violation, faults, ends } = await runSeed(seed, setting);
        const migrations = Object.values(ends).reduce((sum, n) => sum + n, 0);
        const what = violation === undefined ? { text: '' } : violation;
        process.send?.({ seed, ...what, migrations, faults: faults.length } satisfies Done);
      }
    };
    void run();
  });
}

/** WebCrypto says once for each process that it is experimental. */
const execArgvOf = ({ signatures }: Setting): string[] => [
  '--disable-warning=ExperimentalWarning',
  // There are as many processes as cores: threads that help one of them are taken from another. And nearly nothing outlives its history.
  '--single-threaded-gc',
  '--max-semi-space-size=64',
  ...(signatures === 'fast' ? ['--import', new URL('./sim/fast/register.ts', import.meta.url).href] : []),
];

/** The same command in a process of its own, as its setting needs it. */
function again(given: readonly string[], setting: Setting): Promise<number> {
  const child = fork(new URL(import.meta.url), [...given], {
    execArgv: execArgvOf(setting),
    env: { ...process.env, [PREPARED]: 'yes' },
  });
  return new Promise((resolve) => child.on('exit', (code) => resolve(code ?? 1)));
}
const PREPARED = 'CARNET_SIMULATE_PREPARED';

async function main(given: readonly string[]): Promise<number> {
  const wanted = parseWanted(given);
  switch (wanted.kind) {
    case 'help':
      say(HELP);
      return 0;
    case 'wrong':
      process.stderr.write(`npm run simulate: ${wanted.text}\n\n${HELP}`);
      return 2;
    case 'many':
      return many({ ...wanted, processes: wanted.processes === 0 ? availableParallelism() : wanted.processes }, given);
    case 'one':
    case 'mutants':
    case 'crashes':
      if (process.env[PREPARED] === undefined) return again(given, wanted.setting);
      if (wanted.kind === 'crashes') return eachCrash(wanted);
      return wanted.kind === 'one' ? one(wanted.seed, wanted.setting) : eachMutant(wanted);
  }
}

const [, , role, ...given] = process.argv;
if (role === '--child') {
  const wanted = parseWanted(given);
  if (wanted.kind !== 'many') throw new Error('impossible: a child of another command');
  serve(wanted.setting);
} else process.exitCode = await main(process.argv.slice(2));
