import { type Timestamp, timestamp } from '@carnet/events';

/** Timestamps are fixed-width UTC: text order is time order. */
export const isAfter = (a: Timestamp, b: Timestamp): boolean => a > b;

export const earliest = (first: Timestamp, ...others: readonly Timestamp[]): Timestamp =>
  others.reduce((least, other) => (other < least ? other : least), first);

/** First and last instant that a timestamp of four-digit years can say; nothing is shifted past them. */
const FIRST_MS = Date.parse('0000-01-01T00:00:00.000Z');
const LAST_MS = Date.parse('9999-12-31T23:59:59.999Z');

/** `at` shifted by `ms`. A peer's schema-valid date that no calendar has (30 February) stays what it is: never an exception. */
export function shift(at: Timestamp, ms: number): Timestamp {
  const parsed = Date.parse(at);
  if (Number.isNaN(parsed)) return at;
  return timestamp.parse(new Date(Math.min(Math.max(parsed + ms, FIRST_MS), LAST_MS)).toISOString());
}
