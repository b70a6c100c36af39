import type { LedgerEntry } from '../live/rows.ts';
import type { Verdict } from '../signatures/verify.ts';

/** One event as the pages show it: what the broker lists, and what this browser found out about it. */
export interface ShownEvent {
  readonly entry: LedgerEntry;
  readonly verdict: Verdict;
}

/**
 * Two ledgers merged by time; each keeps its own order, whatever its publisher's clock did, since positions are signed and
 * clocks are only claimed.
 */
export function inOrder(entries: readonly LedgerEntry[]): readonly LedgerEntry[] {
  const ledgers = [...Map.groupBy(entries, (e) => `${e.publisher} ${e.audience}`).values()].map((ledger) =>
    ledger.toSorted((a, b) => Number(a.seq) - Number(b.seq)),
  );
  const next = ledgers.map(() => 0);
  const merged: LedgerEntry[] = [];
  while (merged.length < entries.length) {
    const heads = ledgers.flatMap((ledger, i) =>
      ledger[next[i] ?? 0] === undefined ? [] : [{ i, entry: ledger[next[i] ?? 0] }],
    );
    const first = heads.reduce((a, b) => ((b.entry?.time ?? '') < (a.entry?.time ?? '') ? b : a));
    if (first.entry !== undefined) merged.push(first.entry);
    next[first.i] = (next[first.i] ?? 0) + 1;
  }
  return merged;
}
