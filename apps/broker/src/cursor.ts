import type { Ledger, StoredEvent } from '@carnet/journal';

/**
 * A reader's place in all ledgers: how far it has read each, as `<seq>.<seq>…` in the order of `ledgers`. Opaque to readers.
 * There is no order of all events that every replica would agree on; a place in each ledger needs none.
 */
export type Cursor = readonly number[];

export const startCursor = (ledgers: readonly Ledger[]): Cursor => ledgers.map(() => 0);

/** A cursor that does not fit (another number of peers, or nonsense) starts from the beginning: a reader may see events twice, never miss one. */
export function parseCursor(text: string | undefined, ledgers: readonly Ledger[]): Cursor {
  const parts = (text ?? '').split('.').map(Number);
  const fits = parts.length === ledgers.length && parts.every((part) => Number.isSafeInteger(part) && part >= 0);
  return fits ? parts : startCursor(ledgers);
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
