import { timestamp } from '@carnet/events';
import type { Placed } from '@carnet/saga';
import { describe, expect, it } from 'vitest';
import { type MigrationRow, rowOf, rowsOf } from './migration-row.ts';
import { fold, historyOf } from './testing/history.ts';

const LATER = timestamp.parse('2026-11-23T11:00:00.000Z');
const lastRow = (name: string): MigrationRow | undefined => rowsOf(fold(historyOf(name))).at(-1);

describe('a row', () => {
  it('says who, where and how', () => {
    expect(lastRow('cold-to-the-end')).toMatchObject({
      epoch: 1,
      source: 'csp-a.example',
      target: 'csp-b.example',
      mode: 'cold',
      phase: 'retired',
      sourcePhase: 'retired',
      targetPhase: 'finalized',
      ended: true,
      reasons: [],
    });
  });

  it('is one of each attempt, oldest first', () => {
    expect(rowsOf(fold(historyOf('there-and-back'))).map(({ epoch, source, mode }) => [epoch, source, mode])).toEqual([
      [1, 'csp-a.example', 'cold'],
      [2, 'csp-b.example', 'suspend'],
    ]);
    expect(rowsOf(fold(historyOf('second-attempt'))).map(({ outcome }) => outcome)).toEqual(['rolled-back', 'done']);
  });

  it.each([
    ['cold-to-the-end', 'done'],
    ['suspend-to-the-end', 'done'],
    ['refused', 'refused'],
    ['withdrawn-before-an-offer', 'withdrawn'],
    ['withdrawn-when-ready', 'rolled-back'],
    ['relinquished-after-verification', 'rolled-back'],
    ['relinquished-after-release', 'rolled-back'],
    ['relinquished-after-authorisation', 'rolled-back'],
    ['release-crosses-relinquishment', 'rolled-back'],
    ['expired-when-sealed', 'rolled-back'],
    ['a-second-deposit-is-void', 'done'],
  ])('%s ends as %s', (name, outcome) => expect(lastRow(name)).toMatchObject({ outcome, ended: true }));

  it('is open until both ledgers say that it ended', () => {
    for (const name of ['cold-to-the-end', 'relinquished-after-verification']) {
      const history = historyOf(name);
      for (let told = 1; told < history.length; told++)
        expect(rowsOf(fold(history.slice(0, told)))[0]).toMatchObject({ ended: false, outcome: 'open' });
    }
  });

  it('says why in the words of whoever ended it first', () => {
    expect(lastRow('refused')?.reasons).toEqual([{ code: 'OPERATOR', text: 'changed their mind' }]);
    expect(lastRow('relinquished-after-verification')?.reasons).toEqual([{ code: 'OPERATOR', text: 'changed their mind' }]);
    expect(lastRow('expired-when-sealed')?.reasons).toMatchObject([{ code: 'EXPIRED' }]);
  });

  it('was updated when the latest event was said, whatever order they came in', () => {
    const history = historyOf('withdrawn-when-ready');
    const later = history.map((placed, i): Placed => (i === 3 ? { ...placed, event: { ...placed.event, time: LATER } } : placed));
    expect(rowsOf(fold(later))[0]?.updatedAt).toBe(LATER);
  });

  it('is not made without an intent', () => {
    const [migration] = fold(historyOf('refused')).migrations;
    expect(migration && rowOf({ ...migration, facts: {} })).toBeUndefined();
  });
});
