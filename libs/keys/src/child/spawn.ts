import { type ChildProcessByStdio, spawn } from 'node:child_process';
import { Socket } from 'node:net';
import { join } from 'node:path';
import type { Readable, Writable } from 'node:stream';
import { CHILD_HEAP_MIB_MAX } from '../limits.ts';

export type KeyChild = ChildProcessByStdio<Writable, Readable, null>;

/** Of TypeScript its source; of a program built into one file, the key child that was built beside it. */
const MAIN = join(import.meta.dirname, import.meta.filename.endsWith('.ts') ? 'main.ts' : 'key-child.js');

/**
 * Starts an idle child. Nothing but this program text is in its arguments, nothing at all in its environment; its standard error is closed,
 * so that no crash report can carry a value. Node's permission model takes away files to write, processes, workers and add-ons. Its own
 * session: a Ctrl-C at the terminal is the parent's to answer. It ends with its input, also when the parent is killed.
 */
export const spawnChild = (): KeyChild => spawnWith([]);

/** As `spawnChild`, and able to load native code: the library of a PKCS#11 token. */
export const spawnTokenChild = (): KeyChild => spawnWith(['--allow-addons']);

function spawnWith(permissions: readonly string[]): KeyChild {
  const child = spawn(
    process.execPath,
    [
      '--permission',
      '--allow-fs-read=*',
      ...permissions,
      `--max-old-space-size=${CHILD_HEAP_MIB_MAX}`,
      '--disable-proto=throw',
      MAIN,
    ],
    { stdio: ['pipe', 'pipe', 'ignore'], env: {}, cwd: '/', detached: true, windowsHide: true },
  );
  child.on('error', endsItsOutput);
  child.stdin.on('error', endsItsOutput);
  return child;
}

/** A child that could not start, or died under a write, is noticed by the end of its output; the error says nothing more. */
const endsItsOutput = (): undefined => undefined;

/** An idle child must not keep its parent's event loop alive. */
export function rest(child: KeyChild): void {
  child.unref();
  for (const pipe of [child.stdin, child.stdout]) if (pipe instanceof Socket) pipe.unref();
}

export function wake(child: KeyChild): void {
  child.ref();
  for (const pipe of [child.stdin, child.stdout]) if (pipe instanceof Socket) pipe.ref();
}
