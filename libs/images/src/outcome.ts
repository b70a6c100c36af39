import { CODES, type ImageCode } from './codes.ts';

/** What the rules of this lib forbid, or what the machine or the peer did instead: a value with a stable code. */
export interface Refusal {
  readonly ok: false;
  readonly code: ImageCode;
  readonly text: string;
  /** Decided by the code (see CODES): the same call may succeed later, and what was received is kept for it. */
  readonly retryable: boolean;
  readonly expected?: string;
  readonly got?: string;
}
export type Outcome<T> = { readonly ok: true; readonly value: T } | Refusal;

export const done = <T>(value: T): Outcome<T> => ({ ok: true, value });

export interface Contrast {
  readonly expected?: string;
  readonly got?: string;
}

export const refuse = (code: ImageCode, contrast: Contrast = {}): Refusal => ({
  ok: false,
  code,
  text: CODES[code].text,
  retryable: CODES[code].retryable,
  ...contrast,
});

/** A refusal on its way through callbacks and streams; every public function turns it back into a value. */
export class ImageError extends Error {
  readonly code: ImageCode;
  readonly contrast: Contrast;

  constructor(code: ImageCode, contrast: Contrast = {}, cause?: unknown) {
    super(`${code}: ${CODES[code].text}`, cause === undefined ? undefined : { cause });
    this.name = 'ImageError';
    this.code = code;
    this.contrast = contrast;
  }
}

const ERRNO_CODES: Readonly<Record<string, ImageCode>> = {
  ENOSPC: 'DISK_FULL',
  EDQUOT: 'DISK_FULL',
  ENOENT: 'FILE_MISSING',
  ELOOP: 'FILE_UNSUITABLE',
  EISDIR: 'FILE_UNSUITABLE',
  ENOTDIR: 'FILE_UNSUITABLE',
  EACCES: 'FILE_FORBIDDEN',
  EPERM: 'FILE_FORBIDDEN',
  EROFS: 'FILE_FORBIDDEN',
  EIO: 'DISK_FAILED',
  ABORT_ERR: 'ABORTED',
};

const errnoOf = (error: unknown): string | undefined =>
  error instanceof Error && 'code' in error && typeof error.code === 'string' ? error.code : undefined;

/** The refusal behind an error of a file or of this lib; `undefined` for a bug, which the caller must throw on. */
export function refusalOf(error: unknown): Refusal | undefined {
  if (error instanceof ImageError) return refuse(error.code, error.contrast);
  const errno = errnoOf(error);
  const code = errno === undefined ? undefined : ERRNO_CODES[errno];
  return code === undefined ? undefined : refuse(code, { got: errno ?? '' });
}

/** Runs a piece of work; refusals become values, bugs stay exceptions. */
export async function settle<T>(work: () => Promise<T>): Promise<Outcome<T>> {
  try {
    return done(await work());
  } catch (error) {
    const refusal = refusalOf(error);
    if (refusal === undefined) throw error;
    return refusal;
  }
}

/** The value, or the refusal as an exception that `settle` turns back. */
export function demand<T>(outcome: Outcome<T>): T {
  if (outcome.ok) return outcome.value;
  const { expected, got } = outcome;
  throw new ImageError(outcome.code, { ...(expected === undefined ? {} : { expected }), ...(got === undefined ? {} : { got }) });
}

/** Between two pieces of work: whether the caller still wants the rest. */
export function demandWanted(signal: AbortSignal | undefined): void {
  if (signal?.aborted === true) throw new ImageError('ABORTED');
}
