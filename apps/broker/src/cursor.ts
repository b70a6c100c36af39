import type { Ledger, StoredEvent } from '@carnet/journal';
import { sha256Hex } from '@carnet/trust';

/** 48 bits: one list in 10^14 is taken for another, and no reader chooses the lists. */
const NUMBER_HEX_DIGITS = 12;

/**
 * A reader's place in all ledgers: how far it has read each, in the order of `ledgers`, and last a number that says which ledgers these are. As text
 * `<seq>.<seq>…<number>`. Opaque to readers. There is no order of all events that every replica would agree on; a place in each ledger needs none.
 */
export type Cursor = readonly number[];

export const startCursor = (ledgers: readonly Ledger[]): Cursor => [...ledgers.map(() => 0), numberOf(ledgers)];

/**
 * A cursor that does not fit (of other ledgers, without their number as brokers wrote it once, or nonsense) starts from the beginning: a reader may see
 * events twice, never miss one. Threat: a place in one peer's ledgers would pass over as many events of another that stands there now.
 */
export function parseCursor(text: string | undefined, ledgers: readonly Ledger[]): Cursor {
  const start = startCursor(ledgers);
  const parts = (text ?? '').split('.').map(Number);
  const fits =
    parts.length === start.length &&
    parts.at(-1) === start.at(-1) &&
    parts.every((part) => Number.isSafeInteger(part) && part >= 0);
  return fits ? parts : start;
}

/** Of a digest of their names in order, as many bits as a number holds exactly. */
function numberOf(ledgers: readonly Ledger[]): number {
  const names = ledgers.map(({ publisher, audience }) => `${publisher} ${audience}\n`).join('');
  return Number.parseInt(sha256Hex(Buffer.from(names)).slice(0, NUMBER_HEX_DIGITS), 16);
}

export const formatCursor = (cursor: Cursor): string => cursor.join('.');

export interface Positioned {
  readonly stored: StoredEvent;
  /** The place after this event. */
  readonly cursor: string;
}

/** Merges the next events of each ledger by the time they came to stand here, and gives each the place after it. */
export function mergeLedgers(from: Cursor, pages: readonly (readonly StoredEvent[])[], limit: number): readonly Positioned[] {
  const cursor = [...from];
  const next = pages.map(() => 0);
  const merged: Positioned[] = [];
  while (merged.length < limit) {
    const index = earliest(pages, next);
    const stored = pages[index]?.[next[index] ?? 0];
    if (stored === undefined) break;
    next[index] = (next[index] ?? 0) + 1;
    cursor[index] = Number(stored.placement.seq);
    merged.push({ stored, cursor: formatCursor(cursor) });
  }
  return merged;
}

function earliest(pages: readonly (readonly StoredEvent[])[], next: readonly number[]): number {
  let best = -1;
  let bestAt = '';
  for (const [index, page] of pages.entries()) {
    const at = page[next[index] ?? 0]?.placedAt;
    if (at !== undefined && (best === -1 || at < bestAt)) [best, bestAt] = [index, at];
  }
  return best;
}
