import type { LedgerEntry } from '../live/rows.ts';
import type { Verdict } from '../signatures/verify.ts';

/** One event as the pages show it: what the broker lists, and what this browser found out about it. */
export interface ShownEvent {
  readonly entry: LedgerEntry;
  readonly verdict: Verdict;
}

/** By time; of one publisher always by position, since its own clock may have been set back. */
export function inOrder(entries: readonly LedgerEntry[]): readonly LedgerEntry[] {
  return entries.toSorted((a, b) => {
    if (a.publisher === b.publisher && a.audience === b.audience) return Number(a.seq) - Number(b.seq);
    if (a.time !== b.time) return a.time < b.time ? -1 : 1;
    return a.publisher < b.publisher ? -1 : 1;
  });
}
