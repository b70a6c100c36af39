import { linkSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { PkiError, type PkiErrorCode } from './error.ts';
import { LOCK_LOOK_MS } from './limits.ts';

/** What this very process holds: only so is a lock of our own process id known for the rest of a crash (process 1 of a container). */
const holding = new Set<string>();

/**
 * Alone with what a file stands for, among the processes of one machine. The lock names its owner before anybody can see it; whoever
 * died with it loses it.
 *
 * @param busy after waiting for `waitMs`, in which this process does nothing else
 * @throws PkiError `busy`
 */
export function exclusively<T>(lock: string, busy: { readonly code: PkiErrorCode; readonly waitMs: number }, work: () => T): T {
  for (let waitedMs = 0; !take(lock); waitedMs += LOCK_LOOK_MS) {
    if (waitedMs >= busy.waitMs) throw new PkiError(busy.code, `another process holds ${lock}, or died over ${guardOf(lock)}`);
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, LOCK_LOOK_MS);
  }
  holding.add(lock);
  try {
    return work();
  } finally {
    holding.delete(lock);
    rmSync(lock, { force: true });
  }
}

const guardOf = (lock: string): string => `${lock}.takeover`;

function take(lock: string): boolean {
  return tryCreate(lock) || takeOver(lock);
}

/** Two processes may find the same dead owner: the guard lets one of them replace it, the other meets a live owner. */
function takeOver(lock: string): boolean {
  const found = stateOf(lock);
  // Given back just now.
  if (found === 'absent') return tryCreate(lock);
  if (found === 'held') return false;
  const guard = guardOf(lock);
  // Left by a crash between these few lines, it is removed by a person: nobody guards the guard.
  if (!tryCreate(guard)) return false;
  try {
    // Looked at again: whoever had the guard before us may have made a lock that is alive. A dead one is removed by who has the guard, and by nobody else.
    if (stateOf(lock) === 'dead') rmSync(lock, { force: true });
    return tryCreate(lock);
  } finally {
    rmSync(guard, { force: true });
  }
}

/** Linked, not created: at no moment is there a lock without an owner's name in it. */
function tryCreate(lock: string): boolean {
  const draft = `${lock}.${process.pid}`;
  // Others must read it: root may renew for an account.
  writeFileSync(draft, markOf(process.pid), { mode: 0o644 });
  try {
    linkSync(draft, lock);
    return true;
  } catch (cause) {
    if (isErrno(cause, 'EEXIST')) return false;
    throw cause;
  } finally {
    rmSync(draft, { force: true });
  }
}

/** `dead` only of a lock that still lies there after its owner was found gone: its owner may have given it back meanwhile, and another have made one. */
function stateOf(lock: string): 'absent' | 'held' | 'dead' {
  const text = textIn(lock);
  if (text === undefined) return 'absent';
  return isOwned(lock, text) || textIn(lock) !== text ? 'held' : 'dead';
}

function isOwned(lock: string, text: string): boolean {
  const pid = Number.parseInt(text, 10);
  if (!Number.isSafeInteger(pid) || pid <= 0) return false;
  if (pid === process.pid) return holding.has(lock);
  return isAlive(pid) && text === markOf(pid);
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (cause) {
    return isErrno(cause, 'EPERM');
  }
}

/** A process id may be used again; with its start (proc(5) stat, field 22) it is one process until the next boot. Without /proc: the id. */
function markOf(pid: number): string {
  const stat = textIn(`/proc/${pid}/stat`) ?? '';
  const start = stat.slice(stat.lastIndexOf(')') + 2).split(' ')[19] ?? '';
  return `${pid} ${start}\n`;
}

function textIn(file: string): string | undefined {
  try {
    return readFileSync(file, 'utf8');
  } catch (cause) {
    if (isErrno(cause, 'ENOENT') || isErrno(cause, 'ESRCH')) return undefined;
    throw cause;
  }
}

const isErrno = (cause: unknown, code: string): boolean => cause instanceof Error && 'code' in cause && cause.code === code;
