import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { CELLS, deckOf, nameOf, type Run } from './matrix.ts';
import type { Result } from './one-run.ts';
import { coverageOf, sumOf, tableOf, textOf } from './report.ts';
import { append, type Line, lineOf, linesIn } from './results.ts';

const deck = deckOf(1, CELLS.length);
const runOf = (fault: string, at = 0): Run => {
  const run = deck.filter((one) => nameOf(one.fault) === fault)[at];
  if (run === undefined) throw new RangeError(fault);
  return run;
};
const ended: Result = { outcome: 'done', hit: 'something', notes: [], seconds: 20.04, stopSeconds: 3, resets: 1 };
const given = { at: '2026-11-30T00:00:00.000Z', commit: '1c9b4175' };
const line = (run: Run, more: Partial<Result> = {}): Line => lineOf({ run, result: { ...ended, ...more } }, given);

test('what was played is read again as it was written, by a later series too', () => {
  const dir = mkdtempSync(join(tmpdir(), 'carnet-results-'));
  try {
    const file = join(dir, 'faults', 'seed-1.jsonl');
    expect(linesIn(file)).toEqual([]);
    const lines = [line(runOf('stop qemu')), line(runOf('cut'), { failure: 'two guests', notes: ['4 s'], outcome: '-' })];
    for (const one of lines) append(file, one);
    expect(linesIn(file)).toEqual(lines);
    expect(lines.map(({ stopSeconds }) => stopSeconds)).toEqual([3, undefined]);
  } finally {
    rmSync(dir, { recursive: true });
  }
});

test('a run that hit nothing is told, and no cell is hit by it', () => {
  const run = runOf('disk-full volumes');
  const result: Result = { ...ended, hit: 'nothing', notes: ['nobody was refused room'] };
  expect(textOf({ run, result })).toMatch(/ 20\.0 s {2}done HIT NOTHING \(nobody was refused room\)$/);
  const lines = [line(run, { hit: 'nothing' }), line(runOf('disk-full volumes', 1)), line(runOf('disk-full volumes', 1))];
  expect(tableOf(lines)).toContain('\n| disk-full volumes | 3 | 2 of 12 | 1 of 24 | 1 | 3 | 0 | 0 | 0 | 0 | 20.0 |');
  expect(sumOf(lines)).toBe('3 runs, 0 failed, 1 hit nothing');
});

test('a failed run counts as failed, however the move ended', () => {
  const lines = [line(runOf('cut'), { failure: 'a domain is left' })];
  expect(tableOf(lines)).toContain('\n| cut | 1 | 1 of 12 | 1 of 24 | 0 | 0 | 0 | 0 | 0 | 1 | 20.0 |');
});

test('what is left of the matrix begins at the first cell of the order that was never played', () => {
  expect(coverageOf([], deck)).toBe(
    `0 of ${CELLS.length} cells played, 0 with something to hit; the first that was not: --from 1`,
  );
  const some = deck.filter(({ number }) => number !== 3 && number !== 9).map((run) => line(run));
  const hit = CELLS.length - 2;
  expect(coverageOf(some, deck)).toBe(
    `${hit} of ${CELLS.length} cells played, ${hit} with something to hit; the first that was not: --from 3`,
  );
  expect(
    coverageOf(
      deck.map((run) => line(run)),
      deck,
    ),
  ).toMatch(/something to hit$/);
});
