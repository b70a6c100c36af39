import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { describe, expect, it } from 'vitest';
import type { BenchResult } from './result.ts';

const run = promisify(execFile);
const RUN_MS_MAX = 240_000;

/** Without what tells vitest's own modules that they are inside of vitest: a contract suite that a benchmark borrows from imports them. */
const env = Object.fromEntries(Object.entries(process.env).filter(([name]) => !name.startsWith('VITEST')));

/** Every benchmark that starts whole clouds, at its smallest: no figure is looked at, only that there is one. */
async function bench(...args: readonly string[]): Promise<BenchResult> {
  const { stdout } = await run(process.execPath, [join(import.meta.dirname, 'main.ts'), ...args, '--json'], { env });
  return JSON.parse(stdout);
}

const hasFigures = ({ cases }: BenchResult): boolean =>
  cases.length > 0 &&
  cases.every(({ ours, peers }) => [ours, ...peers].every(({ median }) => Number.isFinite(median) && median >= 0));

describe('benchmarks at their smallest', () => {
  it.each([
    ['load', '--active', '6', '--releasing', '3', '--runs', '1', '--rest', '1'],
    ['crowd', '--active', '6', '--releasing', '3', '--rest', '1'],
    ['recover', '--events', '500', '--active', '5', '--runs', '1'],
    ['failover', '--runs', '1'],
    ['flood', '--runs', '1', '--intents', '20', '--garbage', '10'],
    ['simulate', '--runs', '1', '--seeds', '2'],
  ])(
    '%s',
    async (name, ...counts) => {
      const result = await bench(name, ...counts);
      expect([result.name, hasFigures(result)]).toEqual([name, true]);
    },
    RUN_MS_MAX,
  );
});
