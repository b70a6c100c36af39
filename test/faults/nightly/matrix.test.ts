import { expect, test } from 'vitest';
import { parseWanted } from './arguments.ts';
import { wentBack } from './checks.ts';
import { CELLS, cellOf, deckOf, FAULTS, nameOf, PHASES } from './matrix.ts';
import { shareOf } from './trains.ts';

const fault = FAULTS.find((one) => nameOf(one) === 'kill broker') ?? FAULTS[0];

test('one seed gives one order, another seed another', () => {
  expect(deckOf(7, 50)).toEqual(deckOf(7, 50));
  expect(deckOf(7, 50)).not.toEqual(deckOf(8, 50));
  expect(deckOf(7, 200).slice(0, 50)).toEqual(deckOf(7, 50));
});

test.each([1, 2, 3])('seed %i: as many runs as cells play every cell once', (seed) => {
  const played = deckOf(seed, CELLS.length).map(cellOf);
  expect(new Set(played).size).toBe(CELLS.length);
  expect(new Set(played)).toEqual(new Set(CELLS.map(cellOf)));
});

test.each([
  1, 2, 3,
])('seed %i: every fault comes once before any comes twice, and each phase with one victim before any with both', (seed) => {
  const first = deckOf(seed, FAULTS.length);
  expect(new Set(first.map((run) => nameOf(run.fault))).size).toBe(FAULTS.length);
  const of = deckOf(seed, CELLS.length).filter((run) => run.fault === fault);
  expect(new Set(of.slice(0, PHASES.length).map(({ phase }) => phase)).size).toBe(PHASES.length);
});

test.each([1, 2, 3])('%i trains play every run once, and each goes through the faults in their order', (of) => {
  const deck = deckOf(1, 50);
  const shares = Array.from({ length: of }, (_, at) => shareOf(deck, { number: at + 1, of }));
  expect(shares.flat().toSorted((x, y) => x.number - y.number)).toEqual(deck);
  for (const share of shares) {
    expect(share.map(({ number }) => number)).toEqual(share.map(({ number }) => number).toSorted((x, y) => x - y));
    expect(share.length).toBeGreaterThanOrEqual(Math.floor(deck.length / of));
  }
});

test('some stops last the whole minute, and most do not', () => {
  const stops = deckOf(1, CELLS.length).filter((run) => run.fault.kind === 'stop');
  const long = stops.filter(({ longStop }) => longStop).length;
  expect(long).toBeGreaterThan(5);
  expect(long).toBeLessThan(stops.length / 6);
  expect(deckOf(1, CELLS.length).filter((run) => run.longStop && run.fault.kind !== 'stop')).toEqual([]);
});

test('all stops are long, or none is', () => {
  expect(deckOf(1, CELLS.length, 'all').every((run) => run.longStop === (run.fault.kind === 'stop'))).toBe(true);
  expect(deckOf(1, CELLS.length, 'none').some(({ longStop }) => longStop)).toBe(false);
  expect(deckOf(1, CELLS.length, 'all').map(cellOf)).toEqual(deckOf(1, CELLS.length).map(cellOf));
});

test('what is killed and stopped is also restarted, but for a swtpm', () => {
  const parts = (kind: string) => FAULTS.flatMap((one) => ('part' in one && one.kind === kind ? [one.part] : []));
  expect(new Set(parts('kill'))).toEqual(new Set(parts('stop')));
  expect(new Set([...parts('restart'), 'swtpm'])).toEqual(new Set(parts('kill')));
});

test.each([
  [[], { kind: 'runs', runs: 200, seed: 1, stopSeconds: 60, afterFailure: 'stop' }],
  [['--runs', '3', '--seed', '9', '--keep-going'], { kind: 'runs', runs: 3, seed: 9, afterFailure: 'go on' }],
  [['--run', '17', '--list'], { kind: 'list', chosen: [17] }],
  [['--run', '4,17'], { kind: 'runs', chosen: [4, 17] }],
  [['--run', '4,'], { kind: 'wrong' }],
  [['--only', 'qemu', '--phase', 'VmStarted'], { kind: 'runs', only: 'qemu', phase: 'VmStarted' }],
  [['--help'], { kind: 'help' }],
  [['--runs', 'all', '--from', '17', '--long-stops', 'all'], { kind: 'runs', runs: CELLS.length, from: 17, longStops: 'all' }],
  [['--patience', '4'], { kind: 'runs', patience: 4, trains: 1 }],
  [['--trains', '3'], { kind: 'runs', trains: 3 }],
  [['--trains', '0'], { kind: 'wrong', text: 'expected a whole number above 0' }],
  [['--trains', '9'], { kind: 'wrong', text: 'expected --trains 1 to 8' }],
  [['--report', '--seed', '4'], { kind: 'report', seed: 4 }],
  [['--from', '0'], { kind: 'wrong', text: 'expected a whole number above 0' }],
  [['--long-stops', 'now and then'], { kind: 'wrong', text: 'expected --long-stops some, all, none' }],
  [['--runs', '0'], { kind: 'wrong', text: 'expected a whole number above 0' }],
  [['--only', 'earthquake'], { kind: 'wrong', text: 'no fault earthquake' }],
  [['--phase', 'Nowhere'], { kind: 'wrong', text: 'no phase Nowhere' }],
])('arguments %j', (given, wanted) => {
  expect(parseWanted(given)).toMatchObject(wanted);
});

test('a guest that went back is seen', () => {
  const life = (boot: string, n: number, resets: number) => ({ tick: { boot, n, upSeconds: 0 }, resets });
  const disk = (boot: string, n: number) => ({ boot, n, upSeconds: 0 });
  const before = life('x', 50, 1);
  expect(wentBack(before, life('x', 51, 1), [])).toBeUndefined();
  expect(wentBack(before, life('y', 1, 2), [disk('x', 60)])).toBeUndefined();
  expect(wentBack(before, life('z', 1, 3), [disk('y', 5)])).toBeUndefined();
  // The TPM of the boot between them died before it counted.
  expect(wentBack(before, life('z', 1, 2), [disk('w', 9), disk('x', 60), disk('y', 5)])).toBeUndefined();
  expect(wentBack(before, life('x', 49, 1), [])).toBe('the counter went from 50 to 49');
  expect(wentBack(before, life('y', 1, 2), [disk('x', 49)])).toBe('a new boot found 49 on the disk after 50');
  expect(wentBack(before, life('z', 1, 2), [disk('x', 49), disk('y', 5)])).toBe('a new boot found 49 on the disk after 50');
  expect(wentBack(before, life('z', 1, 3), [disk('x', 60), disk('x', 49)])).toBe('a new boot found 49 on the disk after 50');
  expect(wentBack(before, life('z', 1, 3), [disk('x', 60), undefined])).toBe('a new boot found an empty disk');
  expect(wentBack(before, life('z', 1, 3), [disk('w', 9), disk('x', 60), disk('w', 9)])).toBe(
    'a new boot found boot w on the disk, which was over before x',
  );
  expect(wentBack(before, life('y', 1, 2), [undefined, disk('x', 60)])).toBeUndefined();
  expect(wentBack(before, life('y', 1, 1), [disk('x', 60)])).toBe("a new boot, and the TPM's resets went from 1 to 1");
  expect(wentBack(before, life('y', 1, 2), [disk('w', 60)])).toBe('a new boot found boot w on the disk, not x');
  expect(wentBack(before, life('y', 1, 2), [])).toBe('a new boot found an empty disk');
});
