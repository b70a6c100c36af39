import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { type BenchResult, benchCase, median } from './result.ts';

export interface SimulateBenchOptions {
  readonly runs?: number;
  /** Histories of each run. */
  readonly seeds?: number;
}

const SUMMARY = /^(\d+) seeds, (\d+) migrations,.* (\d+) violations,/m;
const execute = promisify(execFile);
const command = join(import.meta.dirname, '..', 'scenarios', 'simulate.ts');

/** `npm run simulate` as anybody runs it: child processes, their start and JIT in the figure. Other seeds in each run. */
export async function simulateBench({ runs = 3, seeds = 100 }: SimulateBenchOptions = {}): Promise<BenchResult> {
  const taken: { readonly seeds: number; readonly migrations: number; readonly seconds: number }[] = [];
  for (let run = 0; run < runs; run += 1) {
    process.stderr.write(`seeds ${run * seeds + 1} to ${(run + 1) * seeds}\n`);
    const startedMs = performance.now();
    const { stdout } = await execute(process.execPath, [command, '--from', String(run * seeds + 1), '--seeds', String(seeds)]);
    const seconds = (performance.now() - startedMs) / 1_000;
    const [, done, migrations, violations] = SUMMARY.exec(stdout.split('\n').findLast((line) => SUMMARY.test(line)) ?? '') ?? [];
    if (Number(done) !== seeds || Number(violations) !== 0)
      throw new Error(`expected ${seeds} seeds without violation, got: ${stdout}`);
    taken.push({ seeds, migrations: Number(migrations), seconds });
  }
  const caseOf = (what: 'migrations' | 'seeds') => {
    const values = taken.map((one) => one[what] / one.seconds);
    return benchCase(
      `${what} simulated, of ${seeds} seeds a run`,
      `${what}/s`,
      'higher',
      { name: 'carnet', values, median: median(values) },
      [],
    );
  };
  return { name: 'simulate', cases: [caseOf('migrations'), caseOf('seeds')] };
}
