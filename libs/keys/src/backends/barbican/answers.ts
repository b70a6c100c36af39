import type { z } from 'zod';
import type { KeyCode } from '../../result.ts';
import { refuse, type VaultRefusal, type VaultResult } from '../../vault/refusal.ts';
import type { Incoming } from './http.ts';

/** What may be different a minute later: the caller retries. All else is decided. */
export const ACCIDENTS: ReadonlySet<KeyCode> = new Set(['BARBICAN_UNAVAILABLE', 'KEYSTONE_UNAVAILABLE', 'TOKEN_FAILED']);

const isJson = ({ contentType }: Incoming): boolean => /^application\/json\b/i.test(contentType);

export function jsonOf(incoming: Incoming): unknown {
  try {
    return isJson(incoming) ? JSON.parse(incoming.body.toString('utf8')) : undefined;
  } catch {
    return undefined;
  }
}

/**
 * An answer without success, as a code. Judged by its status alone, whose meaning the API fixes; its text (JSON, or a proxy's HTML) is
 * never repeated, since it may quote the request.
 */
export function refusedBy(incoming: Incoming | undefined): VaultRefusal {
  if (incoming === undefined || incoming.status >= 500 || incoming.status === 429) return refuse('BARBICAN_UNAVAILABLE');
  switch (incoming.status) {
    case 401:
      return refuse('BARBICAN_UNAUTHORIZED');
    case 403:
      return refuse(isQuota(incoming) ? 'BARBICAN_QUOTA' : 'BARBICAN_FORBIDDEN');
    case 404:
      return refuse('BARBICAN_SECRET_MISSING');
    case 409:
      return refuse('BARBICAN_CONFLICT');
    case 413:
      return refuse('BARBICAN_TOO_LARGE');
    default:
      return refuse(incoming.status >= 400 ? 'BARBICAN_REFUSED' : 'BARBICAN_ANSWER_INVALID');
  }
}

/** The API gives a full quota the status of a missing right; only its description differs. Both are decided: this picks the better advice. */
function isQuota(incoming: Incoming): boolean {
  const said = jsonOf(incoming);
  return (
    typeof said === 'object' && said !== null && 'description' in said && /quota has been reached/i.test(String(said.description))
  );
}

/** The value of a successful JSON answer. */
export function answerOf<T>(incoming: Incoming | undefined, schema: z.ZodType<T>): VaultResult<T> {
  if (incoming === undefined || incoming.status < 200 || incoming.status > 299) return refusedBy(incoming);
  const parsed = schema.safeParse(jsonOf(incoming));
  return parsed.success ? { ok: true, value: parsed.data } : refuse('BARBICAN_ANSWER_INVALID');
}

export const doneOf = (incoming: Incoming | undefined): VaultResult<null> =>
  incoming !== undefined && incoming.status >= 200 && incoming.status <= 299 ? { ok: true, value: null } : refusedBy(incoming);
