import { relative } from 'node:path';
import { TIME_LIMIT } from './time-limits.ts';

/** How many checks passed, and which failed; a test that did not run has failed. */
export type Tally = { readonly passed: number; readonly failed: readonly string[] };

export const NONE: Tally = { passed: 0, failed: [] };
export const ONE_PASSED: Tally = { passed: 1, failed: [] };
export const oneFailed = (what: string): Tally => ({ passed: 0, failed: [what] });

export function add(left: Tally, right: Tally): Tally {
  return { passed: left.passed + right.passed, failed: [...left.failed, ...right.failed] };
}

export type VitestRun = {
  /** Text of vitest's JSON report; undefined when it wrote none. */
  readonly report: string | undefined;
  readonly exitCode: number;
};

export type VitestResult = {
  readonly tally: Tally;
  /** Tests that passed only when tried again, after a time limit: each is a doubt about the test or about us. */
  readonly retried: readonly string[];
};

/**
 * Counts what vitest reports. Every way to fail counts: a test not run, a file that could not be loaded or whose
 * clean-up threw, an error outside any test (seen only in the exit code), a report that is not there.
 */
export function tallyVitest({ report, exitCode }: VitestRun): VitestResult {
  if (report === undefined) return { tally: oneFailed('vitest left no report'), retried: [] };
  const files = readReport(report);
  const tests = files.flatMap((file) => file.tests);
  const passed = tests.filter((test) => whyFailed(test) === undefined);
  const broken = files.filter((file) => file.status !== 'passed' && file.tests.every(({ status }) => status === 'passed'));
  const failed = [
    ...tests.flatMap((test) => {
      const why = whyFailed(test);
      return why === undefined ? [] : [lineOf(`${test.file}: ${test.name}`, why)];
    }),
    ...broken.map(({ name, why }) => lineOf(name, why)),
  ];
  const outside = failed.length === 0 && exitCode !== 0 ? [`outside of any test: vitest ended with exit code ${exitCode}`] : [];
  const retried = passed.filter(({ failures }) => failures.length > 0).map(({ name }) => name);
  return { tally: { passed: passed.length, failed: [...failed, ...outside] }, retried };
}

/** Undefined of a test that passed. */
function whyFailed({ status, failures }: TestOutcome): string | undefined {
  if (status === 'failed') return failures.at(-1) ?? '';
  if (status !== 'passed') return `did not run (${status})`;
  // vitest looks at the last failure of a try alone: a hook that was late afterwards does not excuse what was wrong before it.
  const wrong = failures.find((failure) => !TIME_LIMIT.test(failure.replace(ERROR_NAME, '')));
  return wrong === undefined ? undefined : `passed when tried again, but at first: ${wrong}`;
}
const ERROR_NAME = /^\w*Error: /;

const WHY_MAX = 300;

/** What is too long is in vitest's own words above. */
const lineOf = (what: string, why: string): string =>
  why === '' ? what : `${what}: ${why.split('\n', 1).join().slice(0, WHY_MAX)}`;

type Outcome = { readonly name: string; readonly status: string };
type TestOutcome = Outcome & { readonly file: string; readonly failures: readonly string[] };
type FileOutcome = Outcome & { readonly why: string; readonly tests: readonly TestOutcome[] };

/** The part of vitest's JSON report that is counted. */
function readReport(text: string): readonly FileOutcome[] {
  return records(field(JSON.parse(text), 'testResults')).map((file) => {
    const { name, status } = outcome(file, 'name');
    const path = relative(process.cwd(), name);
    const tests = records(field(file, 'assertionResults')).map((test) => ({
      ...outcome(test, 'fullName'),
      file: path,
      failures: records(field(test, 'failureMessages') ?? []).map(String),
    }));
    return { name: path, status, why: String(field(file, 'message') ?? ''), tests };
  });
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
