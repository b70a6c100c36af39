import { type ChildProcess, spawn } from 'node:child_process';
import { closeSync, mkdtempSync, openSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { sweepAbandoned } from '@carnet/dev';
import { add, ONE_PASSED, oneFailed, type Tally, tallyVitest, type VitestResult } from './tally.ts';

const root = join(import.meta.dirname, '..', '..');

const running = new Set<ChildProcess>();
let interruptedBy: NodeJS.Signals | undefined;

/** The signal that asked the whole run to end, if one did: no further tool is started then. */
export function interrupted(): NodeJS.Signals | undefined {
  return interruptedBy;
}

/** Passes signals on to the tools at work, which end their daemons, and lets the run end after them. */
export function watchSignals(): void {
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
    process.on(signal, () => {
      interruptedBy ??= signal;
      for (const child of running) child.kill(signal);
    });
  }
}

/** Where a tool's output goes: to ours as it comes, or to a file until somebody shows it. */
type Output = 'inherit' | number;

/** Runs a tool of node_modules/.bin with our output as its own; one check. */
export async function runTool(name: string, args: readonly string[]): Promise<Tally> {
  const exitCode = await exitCodeOf(name, args, 'inherit');
  return exitCode === 0 ? ONE_PASSED : oneFailed(`${[name, ...args].join(' ')}: exit code ${exitCode}`);
}

export type Project = 'unit' | 'real' | 'clouds' | 'long';

/** Runs vitest projects side by side, and shows one's output as it comes, each other's when its turn has come. */
export async function runVitest(
  [first, ...others]: readonly [Project, ...Project[]],
  filter: string | undefined,
): Promise<Tally> {
  const dir = mkdtempSync(join(tmpdir(), 'carnet-test-output-'));
  try {
    const later = others.map((project) => {
      const file = join(dir, project);
      const to = openSync(file, 'wx', 0o600);
      return { file, ended: runProject(project, filter, to).finally(() => closeSync(to)) };
    });
    let total = say(await runProject(first, filter, 'inherit'));
    for (const { file, ended } of later) {
      const result = await ended;
      process.stdout.write(readFileSync(file));
      total = add(total, say(result));
    }
    return total;
  } finally {
    rmSync(dir, { recursive: true });
    // vitest kills its workers on Ctrl-C before they can stop their daemons.
    sweepAbandoned();
  }
}

function say({ tally, retried }: VitestResult): Tally {
  for (const test of retried) process.stdout.write(`   passed only when tried again: ${test}\n`);
  return tally;
}

/** Runs one vitest project; each test is a check. */
async function runProject(project: Project, filter: string | undefined, output: Output): Promise<VitestResult> {
  const dir = mkdtempSync(join(tmpdir(), 'carnet-test-report-'));
  const reportFile = join(dir, 'report.json');
  try {
    const reporters = ['--reporter=default', '--reporter=json', `--outputFile.json=${reportFile}`];
    const filters = filter === undefined ? [] : [filter];
    const args = ['run', '--project', project, '--passWithNoTests', ...reporters, ...filters];
    const exitCode = await exitCodeOf('vitest', args, output);
    return tallyVitest({ report: readIfThere(reportFile), exitCode });
  } finally {
    rmSync(dir, { recursive: true });
  }
}

async function exitCodeOf(name: string, args: readonly string[], output: Output): Promise<number> {
  const child = spawn(join(root, 'node_modules', '.bin', name), args, { cwd: root, stdio: ['ignore', output, output] });
  running.add(child);
  const code = await new Promise<number>((resolve) => {
    child.once('error', (cause) => {
      process.stdout.write(`   ${name} did not start: ${cause.message}\n`);
      resolve(1);
    });
    child.once('exit', (exitCode) => resolve(exitCode ?? 1));
  });
  running.delete(child);
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
