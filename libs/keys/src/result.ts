import type { z } from 'zod';
import type { CODES } from './codes.ts';

/** Closed: a new code needs a line in `codes.ts`, and `carnet error CODE` prints it. */
export type KeyCode = keyof typeof CODES;

/** A refusal is a value: by rule, with a stable code. `expected` and `got` hold digests, sizes or states, never key material. */
export type Refusal = {
  readonly ok: false;
  readonly code: KeyCode;
  readonly text: string;
  readonly expected?: string;
  readonly got?: string;
};
export type Result<T> = { readonly ok: true; readonly value: T } | Refusal;

export const ok = <T>(value: T): { readonly ok: true; readonly value: T } => ({ ok: true, value });

/** An accident, as opposed to a refusal. Its text never quotes input: a message may end in a log. */
export class KeysError extends Error {
  override readonly name = 'KeysError';
  readonly code: KeyCode;
  readonly retryable: boolean;

  constructor(code: KeyCode, text: string, options: { readonly retryable: boolean; readonly cause?: unknown }) {
    super(text, options.cause === undefined ? undefined : { cause: options.cause });
    this.code = code;
    this.retryable = options.retryable;
  }
}

/** What a schema says of foreign data, without the data. */
export const issuesOf = (error: z.ZodError): string =>
  error.issues.map((issue) => `${issue.path.join('.')}: ${issue.code}`).join(', ');

/** A refusal that earlier checks under the same lock exclude. Thrown inside a transaction, it rolls everything back. */
export const impossible = (refused: Refusal): KeysError => new KeysError(refused.code, refused.text, { retryable: false });
