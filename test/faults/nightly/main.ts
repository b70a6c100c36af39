// npm run faults: real migrations, each with one fault. See README.md.
import { spawn } from 'node:child_process';
import { constants } from 'node:os';
import { stopEverything } from '@carnet/dev';
import { HELP, parseWanted, type Selected } from './arguments.ts';
import { keepEvidence } from './evidence.ts';
import { CELLS, deckOf, nameOf, type Run } from './matrix.ts';
import type { Network } from './network.ts';
import { runOne } from './one-run.ts';
import { coverageOf, sumOf, tableOf, textOf, textOfRun } from './report.ts';
import { append, commitHere, type Line, lineOf, linesIn, resultsFile } from './results.ts';
import { openWires, openWorld, type World } from './world.ts';

const say = (text: string): void => void process.stdout.write(`${text}\n`);
/** Set by the first process, which only makes the namespaces that the second one works in. */
const INSIDE = 'CARNET_FAULTS_INSIDE';

const selected = ({ runs, seed, from, chosen, only, phase, longStops }: Selected): readonly Run[] =>
  deckOf(seed, Math.max(runs, ...(chosen ?? [])), longStops).filter(
    (one) =>
      one.number >= from &&
      (chosen === undefined || chosen.includes(one.number)) &&
      (only === undefined || nameOf(one.fault).includes(only)) &&
      (phase === undefined || one.phase === phase),
  );

async function play(wanted: Selected): Promise<number> {
  const startedMs = performance.now();
  const runs = selected(wanted);
  say(`seed ${wanted.seed}, ${runs.length} runs of ${CELLS.length} cells, commit ${commitHere()}`);
  const network = await openWires();
  const lines = await playAll(wanted, runs, network);
  await stopEverything();
  say(`\n${tableOf(lines)}\n`);
  say(`${((performance.now() - startedMs) / 60_000).toFixed(1)} minutes`);
  say(sumOf(lines));
  return lines.every(({ failure }) => failure === undefined) && lines.length === runs.length && lines.length > 0 ? 0 : 1;
}

async function playAll(wanted: Selected, runs: readonly Run[], network: Network): Promise<readonly Line[]> {
  const lines: Line[] = [];
  const commit = commitHere();
  let world: World | undefined;
  let resets = 0;
  for (const run of runs) {
    world ??= await opened(network);
    if (world === undefined) break;
    const result = await runOne(world, run, { stopSeconds: wanted.stopSeconds, patience: wanted.patience, resets });
    resets = result.resets;
    say(textOf({ run, result }));
    const line = lineOf({ run, result }, { at: new Date().toISOString(), commit });
    append(resultsFile(wanted.seed), line);
    lines.push(line);
    if (result.failure === undefined) continue;
    say(
      `      kept in ${await keepEvidence(world, run, result, wanted.seed)}; again: npm run faults -- --seed ${wanted.seed} --run ${run.number}`,
    );
    if (wanted.afterFailure === 'stop') break;
    // Whatever the failure left is not the next run's fault.
    await world.stop();
    world = undefined;
  }
  await world?.stop();
  return lines;
}

function report({ seed }: Selected): void {
  const lines = linesIn(resultsFile(seed));
  say(`${tableOf(lines)}\n`);
  say(`commits: ${[...new Set(lines.map(({ commit }) => commit))].join(', ')}`);
  say(coverageOf(lines, deckOf(seed, CELLS.length)));
  say(sumOf(lines));
}

/** What was played until then is still worth its table. */
async function opened(network: Network): Promise<World | undefined> {
  try {
    return await openWorld(network);
  } catch (cause) {
    say(`the clouds did not start: ${cause instanceof Error ? cause.message : String(cause)}`);
    return undefined;
  }
}

/** Mounts, wires and cuts of this process go with it, and no other process on the machine sees them. */
function playApart(): Promise<number> {
  const child = spawn('unshare', ['--net', '--mount', '--propagation', 'private', process.execPath, ...process.argv.slice(1)], {
    stdio: 'inherit',
    env: { ...process.env, [INSIDE]: '1' },
  });
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, () => void child.kill(signal));
  return new Promise((resolve) =>
    child.once('exit', (code, signal) => resolve(code ?? 128 + constants.signals[signal ?? 'SIGKILL'])),
  );
}

async function main(): Promise<number> {
  const wanted = parseWanted(process.argv.slice(2));
  switch (wanted.kind) {
    case 'help':
      say(HELP);
      return 0;
    case 'wrong':
      process.stderr.write(`npm run faults: ${wanted.text}\n\n${HELP}`);
      return 2;
    case 'list':
      for (const run of selected(wanted)) say(textOfRun(run));
      return 0;
    case 'report':
      report(wanted);
      return 0;
    case 'runs':
      if (process.getuid?.() !== 0) {
        process.stderr.write('npm run faults: needs root, for network namespaces, mounts and the Unix users of both clouds\n');
        return 2;
      }
      return process.env[INSIDE] === undefined ? playApart() : play(wanted);
  }
}

process.exitCode = await main();
