import { expect, test } from 'vitest';
import { judgeRestore } from './backup.ts';
import { judgeClock } from './harm.ts';
import { fieldOf, timesOf } from './log.ts';
import { judgeFills } from './streams.ts';

test('a database that lost what others were told must have been in quarantine, and an answer must have ended it', () => {
  const lost = { events: 5, told: 2 };
  expect(judgeRestore(lost, 'the head file is at 9', 1)).toMatchObject({ hit: 'something' });
  expect(() => judgeRestore(lost, undefined, 0)).toThrow('2 events that were told were lost, and nothing was quarantined');
  expect(() => judgeRestore(lost, 'the head file is at 9', 0)).toThrow('no answer of the peer ended it');
});

test('a backup from before the last events of others, or of nothing, needs no quarantine', () => {
  expect(judgeRestore({ events: 1, told: 0 }, undefined, 0)).toEqual({
    hit: 'something',
    notes: ['lost 1 events, none of them told'],
  });
  expect(judgeRestore({ events: 0, told: 0 }, undefined, 0)).toMatchObject({ hit: 'nothing' });
});

test('whoever told the bus what it lost must have noticed', () => {
  const fill = (by: string, lost: number, ...said: readonly string[]) => ({ by, lost, said });
  expect(judgeFills([fill('a', 3, '1 to 4'), fill('b', 0)])).toEqual({ hit: 'something', notes: ['told again: 1 to 4 of a'] });
  expect(judgeFills([fill('a', 0), fill('b', 0)])).toMatchObject({ hit: 'nothing' });
  expect(() => judgeFills([fill('a', 3, '1 to 4'), fill('b', 1)])).toThrow('the bus lost 1 events of b, which did not notice');
});

test('a field of a line of a log', () => {
  expect(fieldOf('{"msg":"own ledgers are quarantined","why":"behind"}', 'why')).toBe('behind');
  expect([fieldOf('{"msg":"x"}', 'why'), fieldOf('not ours', 'why'), fieldOf('7', 'why')]).toEqual([
    undefined,
    undefined,
    undefined,
  ]);
});

test('times of lines, of those that are ours', () => {
  const line = '{"level":"info","time":"2026-11-30T00:00:01.500Z","msg":"x"}';
  expect(timesOf([line, '2026-11-30 LOG: not ours', '{"time":"soon"}'])).toEqual([Date.UTC(2026, 10, 30, 0, 0, 1, 500)]);
});

test('a clock that was set must be seen in a line that was logged meanwhile', () => {
  expect(judgeClock(1, [20, 120_900, 122_000])).toEqual({ hit: 'something', notes: ['120 s for 3 s, in 2 of 3 lines'] });
  expect(judgeClock(-1, [-119_000])).toMatchObject({ hit: 'something' });
  expect(judgeClock(1, [])).toMatchObject({ hit: 'nothing' });
  expect(judgeClock(1, [-2, 90])).toMatchObject({ hit: 'nothing' });
});

test('whoever goes by the right clock, or is wrong the other way, was not hit', () => {
  for (const times of [[1_500, 2_800], [-119_000], [59_000]])
    expect(() => judgeClock(1, times)).toThrow(`a clock was set, and ${times.length} lines were logged by another`);
  expect(() => judgeClock(-1, [121_000])).toThrow('logged by another');
});
