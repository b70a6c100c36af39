import { type ChildProcess, spawn } from 'node:child_process';
import { closeSync, openSync, readFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { DevError } from './error.ts';
import type { RunAs } from './identity.ts';
import { EXIT_WAIT_MS_MAX, LOG_TAIL_LINES, POLL_MS, READY_MS_MAX, STOP_MS_MAX } from './limits.ts';
import { gone, goneBlocking, isRunning, killAndAwait, signalQuietly } from './processes.ts';
import { hold } from './registry.ts';

export type DaemonSpec = {
  /** For messages only. */
  readonly name: string;
  readonly as: RunAs;
  readonly command: readonly string[];
  readonly env: Readonly<Record<string, string>>;
  readonly cwd: string;
  /** Gets stdout and stderr; errors quote its end. */
  readonly logFile: string;
  /** Which signal asks it to end soon and cleanly. */
  readonly stopSignal: NodeJS.Signals;
  /** Asked again and again until true; bounded by READY_MS_MAX. */
  readonly ready: (pid: number) => Promise<boolean> | boolean;
  /** Runs after the daemon ended by `stop` or by the end of this process: what it left running goes too. */
  readonly afterwards?: () => void;
};

/** A real daemon, direct child of this process. */
export type Daemon = {
  /** Of the present run; changes with `restart`. */
  readonly pid: number;
  readonly logFile: string;
  /** Asks, waits STOP_MS_MAX, insists. Safe to repeat. */
  stop(): Promise<void>;
  /** For fault tests: SIGKILL, SIGTERM and SIGINT wait for the end; other signals return at once. */
  kill(signal?: NodeJS.Signals): Promise<void>;
  /** Stops what still runs and starts again with the same configuration and data. */
  restart(): Promise<void>;
};

const ENDING: ReadonlySet<NodeJS.Signals> = new Set(['SIGKILL', 'SIGTERM', 'SIGINT', 'SIGQUIT', 'SIGABRT']);

/** Starts it and returns when it is ready; a failed start leaves nothing running and quotes the log. */
export async function startDaemon(spec: DaemonSpec): Promise<Daemon> {
  let run = await begin(spec);
  return {
    get pid() {
      return pidOf(run.child);
    },
    logFile: spec.logFile,
    stop: () => run.end(),
    kill: async (signal = 'SIGKILL') => {
      if (hasEnded(run.child)) return;
      signalQuietly(pidOf(run.child), signal);
      if (ENDING.has(signal) && !(await gone(pidOf(run.child), STOP_MS_MAX))) {
        throw new DevError('STILL_RUNNING', `${spec.name} (pid ${run.child.pid}) outlived ${signal} by ${STOP_MS_MAX} ms`);
      }
    },
    restart: async () => {
      await stopPolitely(spec, run.child);
      run.release();
      run = await begin(spec);
    },
  };
}

/** One life of a daemon: from a launch to its end, held by the registry meanwhile. */
type Run = { readonly child: ChildProcess; readonly release: () => void; end(): Promise<void> };

async function begin(spec: DaemonSpec): Promise<Run> {
  const child = launch(spec);
  const release = hold({ name: spec.name, stop: () => end(), stopBlocking: () => endBlocking(spec, child) });
  const end = async (): Promise<void> => {
    await stopPolitely(spec, child);
    spec.afterwards?.();
    release();
  };
  try {
    await becomeReady(spec, child);
  } catch (cause) {
    await end();
    throw cause;
  }
  return { child, release, end };
}

/** The last lines of a log, for errors: the daemon's own words explain more than ours. */
export function logTail(file: string): string {
  try {
    return readFileSync(file, 'utf8').trimEnd().split('\n').slice(-LOG_TAIL_LINES).join('\n');
  } catch {
    return '(no log)';
  }
}

function launch(spec: DaemonSpec): ChildProcess {
  const [file = '', ...args] = spec.as.wrap(spec.command, spec.stopSignal);
  const log = openSync(spec.logFile, 'a', 0o640);
  try {
    const child = spawn(file, args, { cwd: spec.cwd, env: spec.env, stdio: ['ignore', log, log] });
    // A failed spawn shows as a missing pid; without a listener Node would throw it out of nowhere.
    child.on('error', () => undefined);
    // A daemon must not keep a finished test process alive: the registry ends it on exit.
    child.unref();
    return child;
  } finally {
    closeSync(log);
  }
}

/** 0 stands for "never started"; `hasEnded` keeps it away from kill(2), where it would mean our whole group. */
function pidOf(child: ChildProcess): number {
  return child.pid ?? 0;
}

/** A reaped child's pid may by now be a stranger's: never look at or signal it again. */
function hasEnded(child: ChildProcess): boolean {
  return child.pid === undefined || child.exitCode !== null || child.signalCode !== null || !isRunning(child.pid);
}

async function becomeReady(spec: DaemonSpec, child: ChildProcess): Promise<void> {
  for (let waitedMs = 0; waitedMs < READY_MS_MAX; waitedMs += POLL_MS) {
    if (hasEnded(child)) throw new DevError('NOT_READY', `${spec.name} ended at once\n${logTail(spec.logFile)}`);
    if (await spec.ready(pidOf(child))) return;
    await sleep(POLL_MS);
  }
  throw new DevError('NOT_READY', `${spec.name} was not ready after ${READY_MS_MAX} ms\n${logTail(spec.logFile)}`);
}

async function stopPolitely(spec: DaemonSpec, child: ChildProcess): Promise<void> {
  if (hasEnded(child)) return;
  const pid = pidOf(child);
  signalQuietly(pid, spec.stopSignal);
  // A daemon held by SIGSTOP in a fault test sees the polite signal only when it goes on.
  signalQuietly(pid, 'SIGCONT');
  if (!(await gone(pid, STOP_MS_MAX))) await killAndAwait(pid);
}

function endBlocking(spec: DaemonSpec, child: ChildProcess): void {
  if (!hasEnded(child)) {
    const pid = pidOf(child);
    signalQuietly(pid, spec.stopSignal);
    signalQuietly(pid, 'SIGCONT');
    if (!goneBlocking(pid, EXIT_WAIT_MS_MAX)) signalQuietly(pid, 'SIGKILL');
  }
  spec.afterwards?.();
}
