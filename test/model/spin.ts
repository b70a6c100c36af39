import { execFileSync } from 'node:child_process';
import { copyFileSync, existsSync } from 'node:fs';
import { join } from 'node:path';

const MODEL = 'handover.pml';
/** Of one search: steps of one story, and MiB. */
export type Limits = { readonly depthMax: number; readonly memoryMib: number };
const LIMITS: Limits = { depthMax: 100_000, memoryMib: 2_000 };

export type Searched = {
  readonly states: number;
  /** The assertion that a story violates, if there is one. */
  readonly violated?: string;
  /** How long that story is, in steps. */
  readonly steps?: number;
  /** Lines of the model that no story comes to. */
  readonly unreached: readonly string[];
};

/** Every reachable state of the model with these definitions, by Spin and the C compiler. @throws what is missing, or an incomplete search */
export function searchAll(dir: string, definitions: readonly string[], { depthMax, memoryMib }: Limits = LIMITS): Searched {
  copyFileSync(join(import.meta.dirname, MODEL), join(dir, MODEL));
  const run = (command: string, args: readonly string[]): string =>
    execFileSync(command, args, { cwd: dir, encoding: 'utf8', maxBuffer: 64 << 20 });
  run('spin', [...definitions.map((one) => `-D${one}`), '-a', MODEL]);
  run('gcc', ['-O1', '-w', '-DSAFETY', '-DCOLLAPSE', '-DVECTORSZ=2048', `-DMEMLIM=${memoryMib}`, '-o', 'pan', 'pan.c']);
  const said = run('./pan', [`-m${depthMax}`]);
  const errors = /errors: (\d+)/.exec(said)?.[1];
  if (errors === undefined || !isWhole(said, errors)) throw new Error(`the search is not whole:\n${said}`);
  const states = Number(/(\d+(?:\.\d+e\+\d+)?) states, stored/.exec(said)?.[1]);
  const unreached = [...said.matchAll(/handover\.pml:(\d+), state \d+, "(.*)"/g)]
    .filter(([, , what]) => what !== '-end-')
    .map(([, line, what]) => `${line}: ${what}`);
  if (errors === '0') return { states, unreached };
  if (!existsSync(join(dir, `${MODEL}.trail`))) throw new Error(`an error without a story:\n${said}`);
  const [, violated, steps] = /pan:1: (.*?) \(at depth (\d+)\)/.exec(said) ?? [];
  return { states, unreached, ...(violated === undefined ? {} : { violated, steps: Number(steps) }) };
}

/**
 * Spin ends with exit code 0 in any case. It calls a search that its memory ended, or a signal, not completed, and also one that ended at its first
 * violation: that one has found what it was to find. A story that was cut off it mentions in passing.
 */
const isWhole = (said: string, errors: string): boolean =>
  !said.includes('max search depth too small') && (errors !== '0' || !said.includes('Search not completed'));
