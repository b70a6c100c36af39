import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { parseArguments } from './arguments.ts';
import { add, NONE, tallyVitest } from './tally.ts';

type FakeFile = { readonly status: string; readonly tests: readonly string[]; readonly message?: string };

const LATE = 'DevError: NOT_READY: a tick: not seen within 60000 ms\n  at …';
const WRONG = "AssertionError: expected 'b' to be 'a'\n  at …";
/** Of tests that passed at their second. */
const FIRST_TRIES: Readonly<Record<string, readonly string[]>> = { late: [LATE], wrong: [WRONG], both: [WRONG, LATE] };

function report(...files: readonly FakeFile[]): string {
  const testResults = files.map(({ status, tests, message = '' }, index) => ({
    name: join(process.cwd(), `file${index}.test.ts`),
    status,
    message,
    assertionResults: tests.map((each, at) =>
      each in FIRST_TRIES
        ? { fullName: `${each} ${at}`, status: 'passed', failureMessages: FIRST_TRIES[each] }
        : { fullName: `${each} ${at}`, status: each, failureMessages: each === 'failed' ? ['first', 'Error: last\n  at …'] : [] },
    ),
  }));
  return JSON.stringify({ testResults, numTotalTests: 0 });
}

describe('counting what vitest reports', () => {
  test('passed and failed tests, and why these did', () => {
    const run = { report: report({ status: 'failed', tests: ['passed', 'failed', 'passed'] }), exitCode: 1 };
    expect(tallyVitest(run).tally).toEqual({ passed: 2, failed: ['file0.test.ts: failed 1: Error: last'] });
  });

  test('a test that did not run has failed', () => {
    const run = { report: report({ status: 'passed', tests: ['passed', 'skipped', 'todo', 'pending'] }), exitCode: 0 };
    expect(tallyVitest(run)).toEqual({
      tally: {
        passed: 1,
        failed: ['skipped 1', 'todo 2', 'pending 3'].map((test) => `file0.test.ts: ${test}: did not run (${test.slice(0, -2)})`),
      },
      retried: [],
    });
  });

  test('a test that was late once has passed, and is named', () => {
    const run = { report: report({ status: 'passed', tests: ['passed', 'late'] }), exitCode: 0 };
    expect(tallyVitest(run)).toEqual({ tally: { passed: 2, failed: [] }, retried: ['late 1'] });
  });

  test('a test that was wrong once has failed, also if something was late after that', () => {
    const run = { report: report({ status: 'passed', tests: ['wrong', 'both'] }), exitCode: 0 };
    const why = "passed when tried again, but at first: AssertionError: expected 'b' to be 'a'";
    expect(tallyVitest(run)).toEqual({
      tally: { passed: 0, failed: [`file0.test.ts: wrong 0: ${why}`, `file0.test.ts: both 1: ${why}`] },
      retried: [],
    });
  });

  test('a file that cannot be loaded, or whose clean-up throws, has failed once', () => {
    const broken = { status: 'failed', message: 'SyntaxError: here' };
    expect(tallyVitest({ report: report({ ...broken, tests: [] }), exitCode: 1 }).tally).toEqual({
      passed: 0,
      failed: ['file0.test.ts: SyntaxError: here'],
    });
    expect(tallyVitest({ report: report({ ...broken, tests: ['passed'] }), exitCode: 1 }).tally).toEqual({
      passed: 1,
      failed: ['file0.test.ts: SyntaxError: here'],
    });
  });

  test('an error outside any test shows in the exit code only', () => {
    expect(tallyVitest({ report: report({ status: 'passed', tests: ['passed'] }), exitCode: 1 }).tally).toEqual({
      passed: 1,
      failed: ['outside of any test: vitest ended with exit code 1'],
    });
  });

  test('no report is a failure, no test at all is nothing', () => {
    expect(tallyVitest({ report: undefined, exitCode: 0 }).tally).toEqual({ passed: 0, failed: ['vitest left no report'] });
    expect(tallyVitest({ report: report(), exitCode: 0 }).tally).toEqual(NONE);
  });

  test('tallies add up', () => {
    expect(add({ passed: 1, failed: ['a'] }, { passed: 3, failed: ['b', 'c'] })).toEqual({ passed: 4, failed: ['a', 'b', 'c'] });
  });
});

test.each([
  [[], { kind: 'everything' }],
  [['--help'], { kind: 'help' }],
  [['--only', 'real'], { kind: 'phase', phase: 'real' }],
  [['--only', 'libs/trust'], { kind: 'files', filter: 'libs/trust' }],
  [['--only'], { kind: 'wrong', argument: '--only without a name' }],
  [['--only', 'unit', 'real'], { kind: 'wrong', argument: 'real' }],
  [['--watch'], { kind: 'wrong', argument: '--watch' }],
])('arguments %j', (args, selection) => {
  expect(parseArguments(args)).toEqual(selection);
});
