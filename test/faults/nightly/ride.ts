import { stopEverything } from '@carnet/dev';
import { runsOf, type Selected } from './arguments.ts';
import { keepEvidence } from './evidence.ts';
import type { Run } from './matrix.ts';
import type { Network } from './network.ts';
import { runOne } from './one-run.ts';
import { say, textOf } from './report.ts';
import { append, commitHere, lineOf, resultsFile } from './results.ts';
import { shareOf, type Train } from './trains.ts';
import { openWires, openWorld, type World } from './world.ts';

/** A train's own process: both clouds, and one run after the other. The exit code. */
export async function ride(wanted: Selected, train: Train): Promise<number> {
  // Whoever started it is gone: nobody else would end it.
  const orphaned = (): void => void process.kill(process.pid, 'SIGTERM');
  process.once('disconnect', orphaned);
  const ending = new AbortController();
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.once(signal, () => ending.abort());
  const failed = await playAll(wanted, shareOf(runsOf(wanted), train), ending.signal);
  await stopEverything();
  process.off('disconnect', orphaned);
  process.disconnect();
  return failed ? 1 : 0;
}

/** Each run moves the same VM, and each is audited from the first event on: after so many they take three times as long. */
const RUNS_OF_A_WORLD = 40;

/** Whether any run failed. One whose clouds somebody stops in its midst was not played. */
async function playAll(wanted: Selected, runs: readonly Run[], ending: AbortSignal): Promise<boolean> {
  const network = await openWires();
  const commit = commitHere();
  let world: World | undefined;
  let resets = 0;
  let failed = false;
  for (const [at, run] of runs.entries()) {
    if (at % RUNS_OF_A_WORLD === 0) {
      await world?.stop();
      world = undefined;
      resets = 0;
    }
    world ??= await opened(network);
    if (world === undefined) return true;
    const result = await runOne(world, run, { stopSeconds: wanted.stopSeconds, patience: wanted.patience, resets });
    if (ending.aborted) return true;
    resets = result.resets;
    say(textOf({ run, result }));
    const line = lineOf({ run, result }, { at: new Date().toISOString(), commit });
    append(resultsFile(wanted.seed), line);
    process.send?.(line);
    if (result.failure === undefined) continue;
    failed = true;
    say(
      `      kept in ${await keepEvidence(world, run, result, wanted.seed)}; again: npm run faults -- --seed ${wanted.seed} --run ${run.number}`,
    );
    // Whatever the failure left is not the next run's fault.
    await world.stop();
    world = undefined;
    if (wanted.afterFailure === 'stop') break;
  }
  await world?.stop();
  return failed;
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
