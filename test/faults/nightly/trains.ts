import { type ChildProcess, spawn } from 'node:child_process';
import { constants } from 'node:os';
import type { Selected } from './arguments.ts';
import type { Run } from './matrix.ts';
import { type Line, line } from './results.ts';

/** One pair of clouds, and its share of the runs: a process of its own, in namespaces of its own. */
export type Train = { readonly number: number; readonly of: number };

/** Set for a train by the first process, which only makes the namespaces that trains work in. */
const TRAIN = 'CARNET_FAULTS_TRAIN';

export function trainHere(): Train | undefined {
  const [number, of] = (process.env[TRAIN] ?? '').split('/').map(Number);
  return number === undefined || of === undefined ? undefined : { number, of };
}

/** Dealt in turn, so that trains go through the faults in the order of the seed side by side. */
export const shareOf = (runs: readonly Run[], { number, of }: Train): readonly Run[] =>
  runs.filter((_, at) => at % of === number - 1);

export type Ridden = { readonly code: number; readonly lines: readonly Line[] };

/** Mounts, wires and cuts of a train go with it, and no other process on the machine sees them. */
export async function rideTrains(count: number, afterFailure: Selected['afterFailure']): Promise<Ridden> {
  const lines: Line[] = [];
  const trains = Array.from({ length: count }, (_, at) =>
    startTrain({ number: at + 1, of: count }, (told) => void lines.push(told)),
  );
  const stopAll = (signal: NodeJS.Signals): void => trains.forEach((train) => void train.kill(signal));
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, () => stopAll(signal));
  const codes = await Promise.all(
    trains.map(async (train) => {
      const code = await endOf(train);
      if (code !== 0 && afterFailure === 'stop') stopAll('SIGTERM');
      return code;
    }),
  );
  return { code: Math.max(...codes), lines };
}

function startTrain({ number, of }: Train, hear: (told: Line) => void): ChildProcess {
  const train = spawn('unshare', ['--net', '--mount', '--propagation', 'private', process.execPath, ...process.argv.slice(1)], {
    stdio: ['inherit', 'inherit', 'inherit', 'ipc'],
    env: { ...process.env, [TRAIN]: `${number}/${of}` },
  });
  train.on('message', (told) => hear(line.parse(told)));
  return train;
}

const endOf = (train: ChildProcess): Promise<number> =>
  new Promise((resolve) => train.once('close', (code, signal) => resolve(code ?? 128 + constants.signals[signal ?? 'SIGKILL'])));
