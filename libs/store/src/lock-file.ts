import { closeSync, openSync, readFileSync, rmSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { StoreError } from './error.ts';

/** PGlite opens a directory that another process has open, unchecked, and destroys it: this file is the check. */
const LOCK = 'carnet.lock';

/** Takes the lock of `dir`, over from a dead process if need be. Throws `STORE_LOCKED`. The answer gives it back. */
export function lockDirectory(dir: string): () => void {
  const path = join(dir, LOCK);
  const mine = mark(process.pid);
  if (mine === undefined)
    throw new StoreError('STORE_LOCKED', 'This system shows no /proc, so no owner can be told alive from dead.');
  if (!tryCreate(path, mine)) takeOver(path, mine);
  return () => {
    if (readIfThere(path) === mine) rmSync(path, { force: true });
  };
}

/** Two processes may find the same dead owner: the guard lets one of them replace it, the other meets a live owner. */
function takeOver(path: string, mine: string): void {
  const guard = `${path}.takeover`;
  if (!tryCreate(guard, mine))
    throw new StoreError('STORE_LOCKED', `Another process is taking ${path} over; if none is, remove ${guard}.`);
  try {
    const owner = readIfThere(path);
    const pid = Number.parseInt(owner ?? '', 10);
    // An empty file is one whose owner died between creating and writing it.
    if (owner !== undefined && owner !== '' && mark(pid) === owner)
      throw new StoreError('STORE_LOCKED', `Process ${pid} holds ${path}.`);
    rmSync(path, { force: true });
    if (!tryCreate(path, mine)) throw new StoreError('STORE_LOCKED', `${path} was taken just now.`);
  } finally {
    rmSync(guard, { force: true });
  }
}

function tryCreate(path: string, text: string): boolean {
  try {
    const file = openSync(path, 'wx', 0o600);
    try {
      writeSync(file, text);
    } finally {
      closeSync(file);
    }
    return true;
  } catch (cause) {
    if (isErrno(cause, 'EEXIST')) return false;
    throw cause;
  }
}

function readIfThere(path: string): string | undefined {
  try {
    return readFileSync(path, 'utf8');
  } catch (cause) {
    if (isErrno(cause, 'ENOENT')) return undefined;
    throw cause;
  }
}

/** A pid alone may be reused; with its start time (proc(5) stat, field 22) it is unique until the next boot. `undefined`: no such process. */
function mark(pid: number): string | undefined {
  if (!Number.isSafeInteger(pid)) return undefined;
  const stat = readIfThere(`/proc/${pid}/stat`);
  if (stat === undefined) return undefined;
  const [state, ...rest] = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  return state === 'Z' ? undefined : `${pid} ${rest[18]}\n`;
}

const isErrno = (cause: unknown, code: string): boolean => cause instanceof Error && 'code' in cause && cause.code === code;
