import type { Digest, Placement } from '@carnet/events';

type Placed = { readonly digest: Digest; readonly placement: Pick<Placement, 'publisher' | 'audience' | 'seq' | 'causes'> };

/**
 * Merges ledgers so that each event follows its predecessor in its ledger and the events that it cites. Times do not decide:
 * clocks differ, and a healed ledger came in another order than it was lived.
 *
 * @param events of any number of ledgers, each ledger's in its own order; causes outside of the list count as given
 */
export function causalOrder<T extends Placed>(events: readonly T[]): readonly T[] {
  const lanes = [...Map.groupBy(events, ({ placement }) => `${placement.publisher} ${placement.audience}`).values()];
  const listed = new Set(events.map(({ digest }) => digest));
  const emitted = new Set<Digest>();
  const next = lanes.map(() => 0);
  const ordered: T[] = [];
  const emit = (lane: number, given: T): void => {
    emitted.add(given.digest);
    next[lane] = (next[lane] ?? 0) + 1;
    ordered.push(given);
  };
  while (ordered.length < events.length) {
    const before = ordered.length;
    lanes.forEach((lane, i) => {
      for (let head = lane[next[i] ?? 0]; head !== undefined; head = lane[next[i] ?? 0]) {
        if (head.placement.causes.some((cause) => listed.has(cause) && !emitted.has(cause))) return;
        emit(i, head);
      }
    });
    // A digest cannot be cited before it exists, so a cycle is impossible in what was admitted.
    if (ordered.length === before) throw new Error('impossible: events cite each other in a circle');
  }
  return ordered;
}
