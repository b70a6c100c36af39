import { readdirSync, readFileSync, readlinkSync, statSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { DevError } from './error.ts';
import { KILL_MS_MAX, POLL_MS } from './limits.ts';

/** A running process as /proc shows it; zombies are not counted, nobody can be harmed by them. */
export type RunningProcess = { readonly pid: number; readonly uid: number; readonly command: readonly string[] };

export function isRunning(pid: number): boolean {
  return stateOf(pid) !== undefined;
}

/** Processes whose arguments or working directory lie in `dir`, this process excepted. */
export function processesUnder(dir: string): readonly RunningProcess[] {
  return running().filter(({ pid, command }) => command.some((word) => mentions(word, dir)) || isInside(linkOf(pid, 'cwd'), dir));
}

export function processesOf(uid: number): readonly RunningProcess[] {
  return running().filter((process) => process.uid === uid);
}

/** True when `word` names `dir` itself or something below it, also inside `key=path,…` words of QEMU. */
export function mentions(word: string, dir: string): boolean {
  for (let at = word.indexOf(dir); at !== -1; at = word.indexOf(dir, at + 1)) {
    const next = word[at + dir.length];
    if (next === undefined || /[/,;:"'\s)}]/.test(next)) return true;
  }
  return false;
}

/** Ends exactly this process: SIGKILL, then waits until the kernel has let go of it. */
export async function killAndAwait(pid: number): Promise<void> {
  signalQuietly(pid, 'SIGKILL');
  if (!(await gone(pid, KILL_MS_MAX))) throw new DevError('STILL_RUNNING', `pid ${pid} outlived SIGKILL by ${KILL_MS_MAX} ms`);
}

export async function gone(pid: number, waitMsMax: number): Promise<boolean> {
  for (let waitedMs = 0; waitedMs < waitMsMax; waitedMs += POLL_MS) {
    if (!isRunning(pid)) return true;
    await sleep(POLL_MS);
  }
  return !isRunning(pid);
}

/** For `exit` handlers, where nothing asynchronous runs any more. */
export function goneBlocking(pid: number, waitMsMax: number): boolean {
  const nap = new Int32Array(new SharedArrayBuffer(4));
  for (let waitedMs = 0; waitedMs < waitMsMax && isRunning(pid); waitedMs += POLL_MS) Atomics.wait(nap, 0, 0, POLL_MS);
  return !isRunning(pid);
}

/** Signals a process that may already be gone. */
export function signalQuietly(pid: number, signal: NodeJS.Signals): void {
  try {
    process.kill(pid, signal);
  } catch (cause) {
    if (!(cause instanceof Error && 'code' in cause && cause.code === 'ESRCH')) throw cause;
  }
}

function running(): readonly RunningProcess[] {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .map(Number)
    .filter((pid) => pid !== process.pid && isRunning(pid))
    .flatMap((pid) => describe(pid));
}

function describe(pid: number): readonly RunningProcess[] {
  try {
    const command = readFileSync(`/proc/${pid}/cmdline`, 'utf8').split('\0').slice(0, -1);
    return [{ pid, uid: statSync(`/proc/${pid}`).uid, command }];
  } catch {
    // It ended between the listing and this look.
    return [];
  }
}

/** One letter of proc(5) `stat`; undefined when there is no such process or only its zombie. */
export function stateOf(pid: number): string | undefined {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
    // The name is in parentheses and may itself hold parentheses and blanks.
    const state = stat.slice(stat.lastIndexOf(')') + 2)[0];
    return state === 'Z' || state === 'X' ? undefined : state;
  } catch {
    return undefined;
  }
}

function linkOf(pid: number, name: string): string {
  try {
    return readlinkSync(`/proc/${pid}/${name}`);
  } catch {
    // Gone, or another user's: then it is none of ours.
    return '';
  }
}

function isInside(path: string, dir: string): boolean {
  return path === dir || path.startsWith(`${dir}/`);
}
