import { describe, expect, it } from 'vitest';
import type { MigrationRow } from '../live/rows.ts';
import { matches, SHOWS } from './filter.ts';
import { meaningOf, outcomeLabel, stepOf } from './phases.ts';

const row: MigrationRow = {
  migration: '01932c07-0000-7000-8000-000000000002',
  vm: 'csp-a.example/1b4e28ba-2fa1-41d2-883f-0016d3cca427',
  epoch: 1,
  source: 'csp-a.example',
  target: 'csp-b.example',
  mode: 'suspend',
  phase: 'sealed',
  sourcePhase: 'sealed',
  targetPhase: 'ready',
  ended: false,
  outcome: 'open',
  startedAt: '2026-11-23T10:00:00.000Z',
  updatedAt: '2026-11-23T10:00:00.000Z',
  reasons: [],
};

describe('filter', () => {
  it.each(['', '  ', '1B4E', 'suspend csp-b', 'sealed 01932c07', 'open'])('%j finds it', (text) =>
    expect(matches(row, { text, show: 'all' })).toBe(true));
  it.each(['cold', 'suspend csp-c'])('%j does not', (text) => expect(matches(row, { text, show: 'all' })).toBe(false));
  it('shows by outcome', () => {
    const shown = (of: Partial<MigrationRow>) => SHOWS.filter((show) => matches({ ...row, ...of }, { text: '', show }));
    expect(shown({})).toEqual(['all', 'open']);
    expect(shown({ ended: true, outcome: 'done' })).toEqual(['all', 'ended']);
    expect(shown({ ended: true, outcome: 'rolled-back' })).toEqual(['all', 'ended', 'failed']);
  });
});

describe('phases', () => {
  it('count steps forward only', () => {
    expect(stepOf('requested')).toEqual({ done: 1, of: 15 });
    expect(stepOf('retired')).toEqual({ done: 15, of: 15 });
    expect([stepOf('rolling-back'), stepOf('of a newer broker')]).toEqual([undefined, undefined]);
  });

  it('have a meaning, and a tone for each end', () => {
    expect(meaningOf('released')).toMatch(/only the target/);
    expect(meaningOf('of a newer broker')).toBe('of a newer broker');
    expect(
      (['open', 'done', 'rolled-back', 'refused', 'withdrawn'] as const).map(
        (outcome) => outcomeLabel({ outcome, phase: 'x' }).tone,
      ),
    ).toEqual(['blue', 'green', 'orange', 'red', 'grey']);
    expect(outcomeLabel({ outcome: 'open', phase: 'rolling-back' }).text).toBe('rolling back');
  });
});
