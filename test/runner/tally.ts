/** How many checks passed and failed; a test that did not run has failed. */
export type Tally = { readonly passed: number; readonly failed: number };

export const NONE: Tally = { passed: 0, failed: 0 };
export const ONE_PASSED: Tally = { passed: 1, failed: 0 };
export const ONE_FAILED: Tally = { passed: 0, failed: 1 };

export function add(left: Tally, right: Tally): Tally {
  return { passed: left.passed + right.passed, failed: left.failed + right.failed };
}

export type VitestRun = {
  /** Text of vitest's JSON report; undefined when it wrote none. */
  readonly report: string | undefined;
  readonly exitCode: number;
};

export type VitestResult = {
  readonly tally: Tally;
  /** Tests that did not run, for the reader: vitest itself mentions only their number. */
  readonly notRun: readonly string[];
  /** Tests that passed only when tried again: each is a doubt about the test or about us. */
  readonly retried: readonly string[];
};

/**
 * Counts what vitest reports. Every way to fail counts: a test not run, a file that could not be loaded or whose
 * clean-up threw, an error outside any test (seen only in the exit code), a report that is not there.
 */
export function tallyVitest({ report, exitCode }: VitestRun): VitestResult {
  if (report === undefined) return { tally: ONE_FAILED, notRun: [], retried: [] };
  const files = readReport(report);
  const tests = files.flatMap((file) => file.tests);
  const passed = tests.filter((test) => test.status === 'passed').length;
  const brokenFiles = files.filter((file) => file.status !== 'passed' && file.tests.every((test) => test.status === 'passed'));
  const failed = tests.length - passed + brokenFiles.length;
  const notRun = tests.filter((test) => test.status !== 'passed' && test.status !== 'failed').map((test) => test.name);
  const retried = tests.filter((test) => test.status === 'passed' && test.failures > 0).map((test) => test.name);
  const failedOutsideTests = failed === 0 && exitCode !== 0 ? 1 : 0;
  return { tally: { passed, failed: failed + failedOutsideTests }, notRun, retried };
}

type Outcome = { readonly name: string; readonly status: string };
type TestOutcome = Outcome & { readonly failures: number };
type FileOutcome = Outcome & { readonly tests: readonly TestOutcome[] };

/** The part of vitest's JSON report that is counted. */
function readReport(text: string): readonly FileOutcome[] {
  return records(field(JSON.parse(text), 'testResults')).map((file) => ({
    ...outcome(file, 'name'),
    tests: records(field(file, 'assertionResults')).map((test) => ({
      ...outcome(test, 'fullName'),
      failures: records(field(test, 'failureMessages') ?? []).length,
    })),
  }));
}

function outcome(record: unknown, nameField: string): Outcome {
  return { name: String(field(record, nameField)), status: String(field(record, 'status')) };
}

function records(value: unknown): readonly unknown[] {
  if (!Array.isArray(value)) throw new TypeError("vitest's report has another shape than the one this counts");
  return value;
}

function field(record: unknown, name: string): unknown {
  return typeof record === 'object' && record !== null ? Reflect.get(record, name) : undefined;
}
