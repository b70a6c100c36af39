import { z } from 'zod';

export interface Refused {
  readonly ok: false;
  readonly code: string;
  readonly text: string;
}
export type Answer<T> = { readonly ok: true; readonly value: T } | Refused;

/** An answer that takes longer is a failure to the reader: the page says so and asks again. */
const ANSWER_MS_MAX = 20_000;

const refused = (code: string, text: string): Refused => ({ ok: false, code, text });

/** Asks the console's server for JSON below `/api`. */
export async function ask<S extends z.ZodType>(
  path: string,
  schema: S,
  token: string,
  signal: AbortSignal,
): Promise<Answer<z.infer<S>>> {
  try {
    const response = await fetch(`/api${path}`, {
      headers: { authorization: `Bearer ${token}` },
      signal: AbortSignal.any([signal, AbortSignal.timeout(ANSWER_MS_MAX)]),
    });
    const body: unknown = await response.json();
    if (!response.ok) return refusalOf(response.status, body);
    const parsed = schema.safeParse(body);
    return parsed.success
      ? { ok: true, value: parsed.data }
      : refused('ANSWER_UNEXPECTED', `the broker's answer has another form: ${parsed.error.issues[0]?.message ?? ''}`);
  } catch (cause) {
    return refused('CONSOLE_UNREACHABLE', cause instanceof Error ? cause.message : String(cause));
  }
}

const refusal = z.object({ code: z.string(), text: z.string() });

function refusalOf(status: number, body: unknown): Refused {
  const { data } = refusal.safeParse(body);
  return data === undefined ? refused('INTERNAL', `HTTP ${status}`) : refused(data.code, data.text);
}
