// npm run simulate: many seeds in child processes, or one with its trace.
import { fork } from 'node:child_process';
import { HELP, parseWanted, type Wanted } from './sim/arguments.ts';
import { HONEST, MUTANTS, type Mutant } from './sim/mutants.ts';
import { mutantOf, type Restored, runSeed, shrink } from './sim/run.ts';

type Done = {
  readonly seed: number;
  readonly rule: string | undefined;
  readonly text: string;
  readonly faults: number;
  readonly migrations: number;
};
const say = (text: string): void => void process.stdout.write(`${text}\n`);

async function one(seed: number, mutant: Mutant, restored: Restored): Promise<number> {
  const first = await runSeed(seed, mutant, new Set(), restored);
  if (first.violation === undefined) {
    for (const line of first.trace) say(line);
    say(`seed ${seed}: no violation, ${first.steps} steps, ${first.faults.length} faults, trace ${first.digest}`);
    return 0;
  }
  const { outcome, without } = await shrink(seed, mutant, first, restored);
  for (const line of outcome.trace) say(line);
  say(
    `seed ${seed}: ${first.faults.length} faults, of which these are needed: ${outcome.faults.map(({ what }) => what).join('; ') || 'none'}`,
  );
  say(
    `seed ${seed}: VIOLATION ${outcome.violation?.rule}: ${outcome.violation?.text} (${without.size} faults left out, trace ${outcome.digest})`,
  );
  return 1;
}

/** Seeds are dealt out one by one: whoever is free takes the next. */
function many({ from, seeds, processes, mutant, restored }: Extract<Wanted, { readonly kind: 'many' }>): Promise<number> {
  const startedMs = performance.now();
  let [next, done, migrations] = [from, 0, 0];
  const failed: Done[] = [];
  const { promise, resolve } = Promise.withResolvers<number>();
  const summary = (): string => {
    const seconds = (performance.now() - startedMs) / 1_000;
    return `${done} seeds, ${migrations} migrations, ${failed.length} violations, ${seconds.toFixed(0)} s, ${(done / seconds).toFixed(2)} seeds/s`;
  };
  for (let n = 0; n < processes; n += 1) {
    const child = fork(new URL('./simulate.ts', import.meta.url), ['--child', mutant.name, restored]);
    const deal = (): void => {
      if (next < from + seeds) child.send(next++);
      else child.disconnect();
    };
    child.on('message', (message: Done) => {
      done += 1;
      migrations += message.migrations;
      if (message.rule !== undefined) {
        failed.push(message);
        say(`seed ${message.seed}: ${message.rule}: ${message.text}`);
      }
      if (done % 50 === 0) say(`… ${summary()}`);
      if (done === seeds) {
        say(summary());
        resolve(failed.length === 0 ? 0 : 1);
      }
      deal();
    });
    child.on('exit', (code) => {
      if (code !== 0) {
        say(`a child process ended with ${code}`);
        resolve(1);
      }
    });
    deal();
  }
  return promise;
}

async function eachMutant(from: number, seeds: number): Promise<number> {
  let missed = 0;
  say('| Mutant | What is broken | Caught by seed | as |\n|---|---|---|---|');
  for (const mutant of MUTANTS) {
    let caught: string | undefined;
    let seed = from;
    for (; seed < from + seeds && caught === undefined; seed += 1) caught = (await runSeed(seed, mutant)).violation?.rule;
    if (caught === undefined) missed += 1;
    say(`| ${mutant.name} | ${mutant.breaks} | ${caught === undefined ? `none of ${seeds}` : seed - 1} | ${caught ?? '–'} |`);
  }
  say(`${MUTANTS.length - missed} of ${MUTANTS.length} mutants caught`);
  return missed === 0 ? 0 : 1;
}

function serve(name: string, restored: Restored): void {
  const mutant = mutantOf(name) ?? HONEST;
  process.on('message', (seed: number) => {
    void runSeed(seed, mutant, new Set(), restored).then(({ violation, faults, ends }) => {
      const migrations = Object.values(ends).reduce((sum, n) => sum + n, 0);
      process.send?.({
        seed,
        rule: violation?.rule,
        text: violation?.text ?? '',
        faults: faults.length,
        migrations,
      } satisfies Done);
    });
  });
}

async function main(given: readonly string[]): Promise<number> {
  const wanted = parseWanted(given);
  switch (wanted.kind) {
    case 'help':
      say(HELP);
      return 0;
    case 'wrong':
      process.stderr.write(`npm run simulate: ${wanted.text}\n\n${HELP}`);
      return 2;
    case 'one':
      return one(wanted.seed, wanted.mutant, wanted.restored);
    case 'mutants':
      return eachMutant(wanted.from, wanted.seeds);
    case 'many':
      return many(wanted);
  }
}

const [, , role, name = '', restored] = process.argv;
if (role === '--child') serve(name, restored === 'all' ? 'all' : 'safety');
else process.exitCode = await main(process.argv.slice(2));
