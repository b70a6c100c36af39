import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { searchAll } from './spin.ts';

let dir: string;
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'carnet-model-'));
});
afterEach(() => rmSync(dir, { recursive: true }));

describe('hand-over and key custody, all states', () => {
  it('one epoch and two: nothing is violated, nothing gets stuck, and every line of the model is come to', () => {
    for (const [epochs, atLeast] of [
      [1, 500],
      [2, 20_000],
    ] as const) {
      const found = searchAll(dir, [`EPOCHS=${epochs}`]);
      expect(found).toMatchObject({ unreached: [] });
      expect(found.violated).toBeUndefined();
      expect(found.states).toBeGreaterThan(atLeast);
    }
  });

  it('a database set back by one event, its copies still on the way: never both', () => {
    const found = searchAll(dir, ['RESTORES']);
    expect(found.violated).toBeUndefined();
    expect(found.states).toBeGreaterThan(500_000);
  });
});

describe('a search that ended before it was whole is none', () => {
  it.each([
    ['stories are longer', [], { depthMax: 50, memoryMib: 2_000 }, 'max search depth too small'],
    ['memory is less', ['RESTORES'], { depthMax: 100_000, memoryMib: 140 }, 'reached -DMEMLIM bound'],
  ] as const)('%s', (_, definitions, limits, said) => {
    expect(() => searchAll(dir, definitions, limits)).toThrow(new RegExp(`^the search is not whole:[\\s\\S]*${said}`));
  });
});

const BOTH_RUN = /host\[0\]\.runs&&host\[1\]\.runs/;
const BOTH_HOLD = /key\[0\]==\d.*key\[1\]==\d/;
const NOWHERE = /host\[0\]\.runs!=host\[1\]\.runs/;
const NO_KEY = /host\[\d\]\.runs.*key\[\d\]==/;

/** A rule left out, as an implementer in a hurry would, and what Spin says to it. */
describe('mutants', () => {
  it.each([
    ['ROLLBACK_ON_A_TIMER', [], BOTH_HOLD],
    ['RELEASE_OF_ANOTHER_EPOCH', [], BOTH_HOLD],
    ['KEY_STAYS_ACTIVE', [], BOTH_HOLD],
    ['RETIRED_ON_IMPORT', [], NO_KEY],
    ['START_BEFORE_ITS_EVENT', [], NO_KEY],
    ['RELINQUISHED_BEFORE_THE_HOST_KNOWS', [], NO_KEY],
    ['OVERTAKEN_RESUME', [], NOWHERE],
    ['STALE_COMMANDS_WORK', [], BOTH_RUN],
    ['RELEASE_BEFORE_SURRENDER', ['RESTORES'], BOTH_RUN],
    ['OWN_WITHDRAWAL_REOPENS_WHAT_WAS_SURRENDERED', ['RESTORES'], BOTH_RUN],
  ] as const)('%s has a story that violates', (mutant, others, what) => {
    const found = searchAll(dir, [mutant, ...others]);
    expect(found.violated).toMatch(what);
    expect(found.steps).toBeGreaterThan(50);
  });
});
