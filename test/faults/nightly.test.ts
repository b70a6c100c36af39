import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { repositoryRoot } from '@carnet/dev';
import { expect, it } from 'vitest';

/** With the eight of `real.test.ts` these are the twelve real runs of `npm test`. What the faults are: `npm run faults -- --list --runs 4 --seed 1893`. */
const RUNS = 4;
const SEED = 1893;
/** Two minutes on a machine that has nothing else to do. */
const RUNS_MS_MAX = 900_000;

it(
  'the first runs of npm run faults',
  async () => {
    const main = join(repositoryRoot, 'test', 'faults', 'nightly', 'main.ts');
    const said = await new Promise<string>((resolve) => {
      execFile(
        process.execPath,
        [main, '--runs', String(RUNS), '--seed', String(SEED), '--patience', '3'],
        { timeout: RUNS_MS_MAX },
        (_error, stdout, stderr) => resolve(`${stderr}${stdout}`),
      );
    });
    // All of it, so that a failure shows which run.
    expect(said).toContain(`\n${RUNS} runs, 0 failed, 0 hit nothing\n`);
  },
  RUNS_MS_MAX,
);
