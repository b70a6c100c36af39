import type { Digest, TrustDomain, VmId } from '@carnet/events';
import { isMigrationEvent } from '@carnet/events';
import type { PlacedEvent } from '@carnet/journal';
import { evolve, initialJourney, type Journey } from '@carnet/saga';

/** Journeys whose fold is remembered: more than are ever under way at one broker. */
const FOLDS_REMEMBERED = 1_000;

type Folded = { readonly digests: readonly Digest[]; readonly journey: Journey };

/** Folds both ledgers' events of one VM, in causal order. */
export type Folds = (vm: VmId, peer: TrustDomain, events: readonly PlacedEvent[]) => Journey;

/**
 * As `fold`, going on from where the last fold of the same journey ended if what it read comes first again: a digest is its event, and evolve is
 * pure. A journey is looked at after each of its events, and grows with each attempt.
 */
export function createFolds(): Folds {
  const folded = new Map<string, Folded>();
  return (vm, peer, events) => {
    const name = `${vm} ${peer}`;
    const known = folded.get(name);
    const before = known?.digests.every((digest, i) => events[i]?.digest === digest) === true ? known : undefined;
    const journey = before === undefined ? fold(vm, events) : foldOnto(before.journey, events.slice(before.digests.length));
    folded.delete(name);
    folded.set(name, { digests: events.map(({ digest }) => digest), journey });
    for (const oldest of folded.keys()) {
      if (folded.size <= FOLDS_REMEMBERED) break;
      folded.delete(oldest);
    }
    return journey;
  };
}

/** Both ledgers' events of one VM, each after those that it relies on. */
export const fold = (vm: VmId, events: readonly PlacedEvent[]): Journey => foldOnto(initialJourney(vm), events);

const foldOnto = (from: Journey, events: readonly PlacedEvent[]): Journey =>
  events.reduce(
    (journey, { event, digest }) =>
      event !== undefined && isMigrationEvent(event) ? evolve(journey, { event, digest }).journey : journey,
    from,
  );
