import type { Timestamp } from '@carnet/events';
import { ESCROW_OPEN_MS_MAX } from '../limits.ts';
import { refusal } from '../refusal.ts';
import type { Refusal } from '../result.ts';

/** Drills and requests end on a day that people can meet, and do not wait for ever. */
export function unfitEnd(now: Timestamp, notAfter: Timestamp): Refusal | undefined {
  const left = Date.parse(notAfter) - Date.parse(now);
  return left > 0 && left <= ESCROW_OPEN_MS_MAX ? undefined : refusal('RECOVERY_EXPIRY_INVALID', { got: notAfter });
}
