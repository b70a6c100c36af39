import type { AuditCode } from '@carnet/publisher';

/** Exit codes of `carnet-audit`: those of `carnet`, as far as an audit can end so. */
export const EXIT = { done: 0, failed: 1, usage: 2, verificationFailed: 3 } as const;
export type ExitCode = (typeof EXIT)[keyof typeof EXIT];

export const EXIT_HELP = `Exit codes:
  0 verified (an unsettled tail is verified as far as it goes, and said)
  1 failed   2 usage   3 verification failed`;

/** Why there is no verdict. A divergence is none: it is what the report says. */
export class AuditError extends Error {
  override readonly name = 'AuditError';
  readonly code: AuditCode;
  readonly exit: ExitCode;
  constructor(code: AuditCode, exit: ExitCode, text: string, cause?: unknown) {
    super(text, { cause });
    this.code = code;
    this.exit = exit;
  }
}
