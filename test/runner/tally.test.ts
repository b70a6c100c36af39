import { describe, expect, test } from 'vitest';
import { parseArguments } from './arguments.ts';
import { add, tallyVitest } from './tally.ts';

type FakeFile = { readonly status: string; readonly tests: readonly string[] };

function report(...files: readonly FakeFile[]): string {
  const testResults = files.map(({ status, tests }, index) => ({
    name: `file${index}.test.ts`,
    status,
    assertionResults: tests.map((each, at) =>
      each === 'retried'
        ? { fullName: `${each} ${at}`, status: 'passed', failureMessages: ['the first try'] }
        : { fullName: `${each} ${at}`, status: each, failureMessages: [] },
    ),
  }));
  return JSON.stringify({ testResults, numTotalTests: 0 });
}

describe('counting what vitest reports', () => {
  test('passed and failed tests', () => {
    const run = { report: report({ status: 'failed', tests: ['passed', 'failed', 'passed'] }), exitCode: 1 };
    expect(tallyVitest(run).tally).toEqual({ passed: 2, failed: 1 });
  });

  test('a test that did not run has failed, and is named', () => {
    const run = { report: report({ status: 'passed', tests: ['passed', 'skipped', 'todo', 'pending'] }), exitCode: 0 };
    expect(tallyVitest(run)).toEqual({
      tally: { passed: 1, failed: 3 },
      notRun: ['skipped 1', 'todo 2', 'pending 3'],
      retried: [],
    });
  });

  test('a test that passed only when tried again has passed, and is named', () => {
    const run = { report: report({ status: 'passed', tests: ['passed', 'retried'] }), exitCode: 0 };
    expect(tallyVitest(run)).toEqual({ tally: { passed: 2, failed: 0 }, notRun: [], retried: ['retried 1'] });
  });

  test('a file that cannot be loaded, or whose clean-up throws, has failed once', () => {
    expect(tallyVitest({ report: report({ status: 'failed', tests: [] }), exitCode: 1 }).tally).toEqual({ passed: 0, failed: 1 });
    expect(tallyVitest({ report: report({ status: 'failed', tests: ['passed'] }), exitCode: 1 }).tally).toEqual({
      passed: 1,
      failed: 1,
    });
  });

  test('an error outside any test shows in the exit code only', () => {
    expect(tallyVitest({ report: report({ status: 'passed', tests: ['passed'] }), exitCode: 1 }).tally).toEqual({
      passed: 1,
      failed: 1,
    });
  });

  test('no report is a failure, no test at all is nothing', () => {
    expect(tallyVitest({ report: undefined, exitCode: 0 }).tally).toEqual({ passed: 0, failed: 1 });
    expect(tallyVitest({ report: report(), exitCode: 0 }).tally).toEqual({ passed: 0, failed: 0 });
  });

  test('tallies add up', () => {
    expect(add({ passed: 1, failed: 2 }, { passed: 3, failed: 4 })).toEqual({ passed: 4, failed: 6 });
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
