import { type ChildProcess, spawn } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { sweepAbandoned } from '@carnet/dev';
import { ONE_FAILED, ONE_PASSED, type Tally, tallyVitest } from './tally.ts';

const root = join(import.meta.dirname, '..', '..');

let current: ChildProcess | undefined;
let interruptedBy: NodeJS.Signals | undefined;

/** The signal that asked the whole run to end, if one did: no further tool is started then. */
export function interrupted(): NodeJS.Signals | undefined {
  return interruptedBy;
}

/** Passes signals on to the tool at work, which ends its daemons, and lets the run end after it. */
export function watchSignals(): void {
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
    process.on(signal, () => {
      interruptedBy ??= signal;
      current?.kill(signal);
    });
  }
}

/** Runs a tool of node_modules/.bin with our output as its own; one check. */
export async function runTool(name: string, args: readonly string[]): Promise<Tally> {
  return (await exitCodeOf(name, args)) === 0 ? ONE_PASSED : ONE_FAILED;
}

/** Runs one vitest project; each test is a check. */
export async function runVitest(project: 'unit' | 'real', filter: string | undefined): Promise<Tally> {
  const dir = mkdtempSync(join(tmpdir(), 'carnet-test-report-'));
  const reportFile = join(dir, 'report.json');
  try {
    const reporters = ['--reporter=default', '--reporter=json', `--outputFile.json=${reportFile}`];
    const filters = filter === undefined ? [] : [filter];
    const exitCode = await exitCodeOf('vitest', ['run', '--project', project, '--passWithNoTests', ...reporters, ...filters]);
    const { tally, notRun, retried } = tallyVitest({ report: readIfThere(reportFile), exitCode });
    for (const test of notRun) process.stdout.write(`   did not run, which counts as failed: ${test}\n`);
    for (const test of retried) process.stdout.write(`   passed only when tried again: ${test}\n`);
    return tally;
  } finally {
    rmSync(dir, { recursive: true });
    // vitest kills its workers on Ctrl-C before they can stop their daemons.
    sweepAbandoned();
  }
}

async function exitCodeOf(name: string, args: readonly string[]): Promise<number> {
  const child = spawn(join(root, 'node_modules', '.bin', name), args, { cwd: root, stdio: ['ignore', 'inherit', 'inherit'] });
  current = child;
  const code = await new Promise<number>((resolve) => {
    child.once('error', (cause) => {
      process.stdout.write(`   ${name} did not start: ${cause.message}\n`);
      resolve(1);
    });
    child.once('exit', (exitCode) => resolve(exitCode ?? 1));
  });
  current = undefined;
  return code;
}

function readIfThere(file: string): string | undefined {
  try {
    return readFileSync(file, 'utf8');
  } catch {
    // vitest died before it could report; the tally says so.
    return undefined;
  }
}
