import { execFileSync } from 'node:child_process';
import { appendFileSync, existsSync, mkdirSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { repositoryRoot } from '@carnet/dev';
import { z } from 'zod';
import { nameOf } from './matrix.ts';
import type { Played } from './report.ts';

/** A run that was played: of which code, at which cell, and what came of it. */
export const line = z
  .strictObject({
    at: z.string(),
    commit: z.string(),
    number: z.number(),
    fault: z.string(),
    phase: z.string(),
    whose: z.string(),
    mode: z.string(),
    /** Of a SIGSTOP. */
    stopSeconds: z.number().optional(),
    hit: z.enum(['something', 'nothing']),
    outcome: z.string(),
    failure: z.string().optional(),
    notes: z.array(z.string()).readonly(),
    seconds: z.number(),
  })
  .readonly();
export type Line = z.infer<typeof line>;

/** What is under test may be changed and not committed: then no commit says what was played. */
const TESTED = ['apps', 'libs', 'infra', 'test/faults/harness', 'test/faults/nightly'];

export function commitHere(): string {
  const git = (...args: readonly string[]): string => execFileSync('git', args, { cwd: repositoryRoot, encoding: 'utf8' }).trim();
  try {
    return `${git('rev-parse', '--short=8', 'HEAD')}${git('status', '--porcelain', '--', ...TESTED) === '' ? '' : '+'}`;
  } catch {
    return 'unknown';
  }
}

export const resultsFile = (seed: number): string => join(repositoryRoot, '.carnet', 'faults', `seed-${seed}.jsonl`);

export const lineOf = ({ run, result }: Played, given: { readonly at: string; readonly commit: string }): Line => ({
  ...given,
  number: run.number,
  fault: nameOf(run.fault),
  phase: run.phase,
  whose: run.whose,
  mode: run.mode,
  ...(run.fault.kind === 'stop' ? { stopSeconds: result.stopSeconds } : {}),
  hit: result.hit,
  outcome: result.outcome,
  ...(result.failure === undefined ? {} : { failure: result.failure }),
  notes: result.notes,
  seconds: Math.round(result.seconds * 10) / 10,
});

export function append(file: string, played: Line): void {
  mkdirSync(dirname(file), { recursive: true });
  appendFileSync(file, `${JSON.stringify(played)}\n`);
}

export const linesIn = (file: string): readonly Line[] =>
  existsSync(file)
    ? readFileSync(file, 'utf8')
        .split('\n')
        .filter(Boolean)
        .map((one) => line.parse(JSON.parse(one)))
    : [];
