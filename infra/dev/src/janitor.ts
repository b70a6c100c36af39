import { spawn } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { sweepAbandoned } from './abandoned.ts';
import { signalQuietly } from './processes.ts';
import { hold } from './registry.ts';

/** Waits for the end of its standard input, which the kernel closes when we die of whatever, and then sweeps. */
const WAIT_AND_SWEEP = 'read -r _; exec "$0" "$1"';
const sweeper = fileURLToPath(new URL('./sweep.ts', import.meta.url));

let isHired = false;

/**
 * Makes sure that someone cleans up after this process even if it is killed with SIGKILL, as vitest does with its
 * workers on Ctrl-C. The janitor is a waiting shell in a session of its own, where a terminal's signals do not reach it.
 */
export function hireJanitor(): void {
  if (isHired) return;
  isHired = true;
  sweepAbandoned();
  const janitor = spawn('/bin/sh', ['-c', WAIT_AND_SWEEP, process.execPath, sweeper], {
    cwd: '/',
    detached: true,
    stdio: ['pipe', 'ignore', 'ignore'],
  });
  // Without a janitor we only lose the cleaning after SIGKILL; the next run's first sweep does it too.
  janitor.on('error', () => undefined);
  janitor.unref();
  // A pipe is a socket to Node, and would keep the process alive; typed as a mere stream it has no unref.
  if ('unref' in janitor.stdin && typeof janitor.stdin.unref === 'function') janitor.stdin.unref();
  const dismiss = (): void => {
    if (janitor.pid !== undefined && janitor.exitCode === null) signalQuietly(janitor.pid, 'SIGKILL');
  };
  // Held before anything else, so it is dismissed after everything else is gone.
  hold({ name: 'janitor', stop: async () => dismiss(), stopBlocking: dismiss });
}
