/** Exit codes of `carnet`, golden-tested: scripts rely on them. */
export const EXIT = {
  done: 0,
  failed: 1,
  usage: 2,
  verificationFailed: 3,
  waitTimedOut: 4,
  refused: 5,
  rolledBack: 6,
  unreachable: 7,
} as const;
export type ExitCode = (typeof EXIT)[keyof typeof EXIT];

export const EXIT_HELP = `Exit codes:
  0 done   1 failed   2 usage   3 verification failed   4 wait timed out, or detached
  5 refused by peer or policy   6 ended rolled back   7 unreachable`;

/** Ends a verb that has said what it found; `check` has exit codes of its own. */
export class Judged extends Error {
  override readonly name = 'Judged';
  readonly exit: 0 | 1 | 2 | 3;
  constructor(exit: 0 | 1 | 2 | 3) {
    super('judged');
    this.exit = exit;
  }
}

/** Ends a verb: code, one sentence, and what to do next. */
export class VerbError extends Error {
  override readonly name = 'VerbError';
  readonly exit: ExitCode;
  readonly code: string;
  readonly advice: string | undefined;
  constructor(exit: ExitCode, code: string, text: string, advice?: string) {
    super(text);
    this.exit = exit;
    this.code = code;
    this.advice = advice;
  }
}
