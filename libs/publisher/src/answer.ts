/** A broker's refusal as it came; or `UNREACHABLE`, `ANSWER_MALFORMED`, `INTERRUPTED` when none came. */
export interface Refused {
  readonly ok: false;
  /** The broker says that it passes by itself: milliseconds after which asking again may succeed. */
  readonly retryAfterMs?: number;
  readonly code: string;
  readonly text: string;
  readonly reasons?: readonly { readonly code: string; readonly text: string }[];
}
export type Answer<T> = { readonly ok: true; readonly value: T } | Refused;

/** A stream that the broker refused to open. */
export class StreamRefused extends Error {
  override readonly name = 'StreamRefused';
  readonly refused: Refused;
  constructor(refused: Refused) {
    super(`${refused.code}: ${refused.text}`);
    this.refused = refused;
  }
}

/** Reads one answer. The broker is our own, under our federation's root: its rows are taken as its OpenAPI document has them. */
export function answerOf<T>(status: number, text: string, retryAfter?: string): Answer<T> {
  const body = parse(text);
  if (body === undefined) return { ok: false, code: 'ANSWER_MALFORMED', text: `HTTP ${status} without JSON` };
  if (status >= 200 && status < 300) return { ok: true, value: body as T };
  const { code, text: sentence, reasons } = body as Partial<Refused>;
  if (typeof code !== 'string') return { ok: false, code: 'ANSWER_MALFORMED', text: `HTTP ${status} without a code` };
  return {
    ok: false,
    code,
    text: sentence ?? `HTTP ${status}`,
    ...(reasons === undefined ? {} : { reasons }),
    ...(retryAfter !== undefined && /^[0-9]{1,4}$/.test(retryAfter) ? { retryAfterMs: Number(retryAfter) * 1_000 } : {}),
  };
}

function parse(text: string): object | undefined {
  try {
    const body: unknown = JSON.parse(text);
    return typeof body === 'object' && body !== null ? body : undefined;
  } catch {
    return undefined;
  }
}

/** Why no answer came. */
export function noAnswer(url: string, cause: unknown, signal: AbortSignal | undefined): Refused {
  if (signal?.aborted === true) return { ok: false, code: 'INTERRUPTED', text: 'interrupted before an answer came' };
  return { ok: false, code: 'UNREACHABLE', text: `${url}: ${causeText(cause)}` };
}

/** Node leaves the message of a refused connection to several addresses empty. */
export const causeText = (cause: unknown): string => {
  if (!(cause instanceof Error)) return String(cause);
  const code = 'code' in cause ? String(cause.code) : cause.name;
  return cause.message === '' ? code : cause.message;
};
