import { describe, expect, it } from 'vitest';
import { commandsFor, copyText, decidesText, doubtOf, isAsked } from './doubt.ts';
import type { BrokenGlass, Copy } from './glass.ts';

const [A, B] = ['csp-a.example', 'csp-b.example'] as const;
const SINCE = '2026-11-23T10:00:00.000Z';
const DEADLINE = '2026-11-23T11:00:00.000Z';
const at = (ms: number): number => Date.parse(SINCE) + ms;
const inDoubt = { standing: 'in-doubt', exposedSince: SINCE };
const broken = (copy: Copy = { kind: 'unknown' }): BrokenGlass => ({
  at: DEADLINE,
  by: A,
  opens: 2,
  persons: [],
  owner: { who: 'the owner' },
  copy,
});
const FENCED: Copy = { kind: 'fenced', at: DEADLINE };
const GONE: Copy = { kind: 'discarded', at: DEADLINE, fencedAt: DEADLINE, by: 'olga', reason: 'nobody needs it' };
const BACK: Copy = { kind: 'given-back', at: DEADLINE };

describe('doubt', () => {
  it.each([
    ['released', false, true],
    ['imported', false, true],
    ['split-suspected', false, true],
    ['sealed', false, false],
    ['healthy', false, false],
    ['rolled-back', true, false],
  ])('in phase %s, ended %s: the doctor is asked: %s', (phase, ended, expected) => {
    expect(isAsked({ phase, ended })).toBe(expected);
  });

  it('is told after a moment: each hand-over is in doubt for one', () => {
    expect(doubtOf(inDoubt, undefined, DEADLINE, at(9_999))).toBeUndefined();
    expect(doubtOf(inDoubt, undefined, DEADLINE, at(10_000))).toMatchObject({ tone: 'warning', since: SINCE });
    expect(doubtOf({ standing: 'at-target' }, undefined, DEADLINE, at(10_000))).toBeUndefined();
    expect(doubtOf(undefined, undefined, undefined, at(10_000))).toBeUndefined();
  });

  it('is told of a broken glass whose event this browser could not check', () => {
    expect(doubtOf({ standing: 'split' }, undefined, DEADLINE, at(0))).toMatchObject({ tone: 'danger' });
    expect(doubtOf({ standing: 'split' }, broken(BACK), DEADLINE, at(0))).toMatchObject({ tone: 'info' });
  });

  it('is graver once the deadline is over', () => {
    expect(doubtOf(inDoubt, undefined, DEADLINE, at(3_600_001))?.tone).toBe('danger');
  });

  it.each<[Copy, string, RegExp]>([
    [{ kind: 'unknown' }, 'danger', /has not said yet/],
    [FENCED, 'warning', /^Fenced: .* epoch 2\.$/],
    [GONE, 'info', /^Discarded by olga: nobody needs it\./],
    [BACK, 'info', /had not run it/],
  ])('once broken is as grave as its copy %o', (copy, tone, text) => {
    expect(doubtOf(inDoubt, broken(copy), DEADLINE, at(0))).toMatchObject({ tone, since: DEADLINE });
    expect(copyText(broken(copy), B)).toMatch(text);
  });
});

it('people of the target decide about a copy that is kept', () => {
  expect(decidesText(broken(FENCED), B)).toMatch(/^operators of csp-b\.example/);
  for (const other of [undefined, broken(), broken(GONE), broken(BACK)]) expect(decidesText(other, B)).toBeUndefined();
});

describe('what to type', () => {
  const of = { migration: '01932c07-0000-7000-8000-000000000002', source: A, target: B };
  it('is shown to whom it is for: the source before, the target while it keeps a copy', () => {
    const typed = commandsFor(of, undefined, A).filter((line) => !line.startsWith('#'));
    expect(typed.map((one) => one.split(' ').slice(0, 4).join(' '))).toEqual(
      ['case', 'sign', 'fenced', 'resume'].map((verb) => `carnet migration break-glass ${verb}`),
    );
    expect(commandsFor(of, undefined, B)).toEqual([]);
    expect(commandsFor(of, undefined, undefined)).toEqual([]);
    expect(commandsFor(of, broken(FENCED), B)).toEqual([
      `carnet migration discard-copy ${of.migration} --reason 'why nobody needs it'`,
    ]);
    for (const [copy, self] of [
      [FENCED, A],
      [GONE, B],
      [BACK, B],
      [{ kind: 'unknown' }, B],
    ] as const)
      expect(commandsFor(of, broken(copy), self)).toEqual([]);
  });
});
