import { type Digest, isMigrationEvent, type TrustDomain } from '@carnet/events';
import { evolve, initialJourney, type Journey } from '@carnet/saga';
import { VM } from '../../../libs/saga/src/testing.ts';
import type { Csp } from './csp.ts';
import { type Entry, ledgerName, type News } from './ledger-news.ts';
import type { Violation } from './violation.ts';

/** What one CSP makes of the two ledgers that it shares with a peer, each event in its turn. */
type Fold = { journey: Journey; waiting: readonly Entry[]; readonly states: Set<string> };
type Side = {
  readonly holder: Csp;
  readonly copies: Map<string, Digest[]>;
  readonly folds: Map<TrustDomain, Fold>;
  readonly placed: Set<Digest>;
};

/** All that a fold says, without the data of its facts: those are the events', which digests name. */
export const stateOf = ({ migrations }: Journey): string =>
  migrations
    .map(({ id, epoch, sourcePhase, targetPhase, facts }) => {
      const events = Object.values(facts).map(({ digest }) => digest);
      return `${id} @${epoch} ${sourcePhase} × ${targetPhase} ${events.sort().join()}`;
    })
    .join('; ');

const wrong = (text: string): Violation => ({ rule: 'I3 one truth', text });
const newFold = (): Fold => {
  const journey = initialJourney(VM);
  return { journey, waiting: [], states: new Set([stateOf(journey)]) };
};

/**
 * I3, after every step: each folds in the order in which it learned, which is another one on each side. Whatever the order, an event is void for
 * both or for neither, and who has the same events is in the same state.
 */
export function createTruth() {
  const sides = new Map<TrustDomain, Side>();
  const verdicts = new Map<Digest, string>();

  const foldOf = ({ folds }: Side, peer: TrustDomain): Fold => {
    const fold = folds.get(peer) ?? newFold();
    folds.set(peer, fold);
    return fold;
  };

  /** Each event after what it cites and what its publisher said before. */
  const advance = (side: Side, peer: TrustDomain): Violation | undefined => {
    const fold = foldOf(side, peer);
    const held = new Set<TrustDomain>();
    const waiting: Entry[] = [];
    let violation: Violation | undefined;
    for (const entry of fold.waiting) {
      const { placement, digest, event } = entry;
      if (held.has(placement.publisher) || placement.causes.some((cause) => !side.placed.has(cause))) {
        held.add(placement.publisher);
        waiting.push(entry);
        continue;
      }
      side.placed.add(digest);
      if (event === undefined || !isMigrationEvent(event)) continue;
      const { journey, voidCode = 'valid' } = evolve(fold.journey, { event, digest });
      const before = verdicts.get(digest) ?? voidCode;
      verdicts.set(digest, before);
      fold.journey = journey;
      fold.states.add(stateOf(journey));
      if (before !== voidCode)
        violation ??= wrong(`${event.type} @${event.epoch} of ${placement.publisher} is ${before}, and ${voidCode} for another`);
    }
    const moved = waiting.length < fold.waiting.length;
    fold.waiting = waiting;
    return violation ?? (moved && waiting.length > 0 ? advance(side, peer) : undefined);
  };

  const take = ({ holder, isAnew, entries }: News): Violation | undefined => {
    const known = isAnew ? undefined : sides.get(holder.domain);
    const side: Side = known ?? { holder, copies: new Map(), folds: new Map(), placed: new Set() };
    sides.set(holder.domain, side);
    const peers = new Set<TrustDomain>();
    for (const entry of entries) {
      const { placement, digest } = entry;
      const name = ledgerName(placement);
      const copy = side.copies.get(name) ?? [];
      copy[Number(placement.seq) - 1] = digest;
      side.copies.set(name, copy);
      const peer = placement.publisher === holder.domain ? placement.audience : placement.publisher;
      const fold = foldOf(side, peer);
      fold.waiting = [...fold.waiting, entry];
      peers.add(peer);
    }
    for (const peer of peers) {
      const violation = advance(side, peer);
      if (violation !== undefined) return violation;
    }
    return undefined;
  };

  /** No position holds two events, and nobody holds of a ledger what its publisher does not: unless the publisher was restored. */
  const differs = ({ holder, entries }: News): Violation | undefined => {
    for (const { placement, digest } of entries) {
      const other = sides.get(placement.publisher === holder.domain ? placement.audience : placement.publisher);
      if (other === undefined) continue;
      const at = other.copies.get(ledgerName(placement))?.[Number(placement.seq) - 1];
      const mustHold = other.holder.domain === placement.publisher && other.holder.restores === 0;
      if (at === digest || (at === undefined && !mustHold)) continue;
      return wrong(
        `${ledgerName(placement)} ${placement.seq} is another event at ${other.holder.domain} than at ${holder.domain}`,
      );
    }
    return undefined;
  };

  const isLevel = (one: Side, other: Side): boolean => {
    for (const from of [one, other]) {
      const name = ledgerName({ publisher: from.holder.domain, audience: (from === one ? other : one).holder.domain });
      const [here, there] = [one.copies.get(name) ?? [], other.copies.get(name) ?? []];
      if (here.length !== there.length || here.at(-1) !== there.at(-1)) return false;
    }
    return true;
  };
  const parts = ({ holder }: News): Violation | undefined => {
    const one = sides.get(holder.domain);
    for (const other of sides.values()) {
      if (one === undefined || other === one || !isLevel(one, other)) continue;
      const [here, there] = [foldOf(one, other.holder.domain), foldOf(other, holder.domain)];
      if (here.waiting.length + there.waiting.length === 0 && stateOf(here.journey) !== stateOf(there.journey))
        return wrong(`${holder.domain} and ${other.holder.domain} have the same events, and fold to different states`);
    }
    return undefined;
  };

  return {
    take: (news: readonly News[]): Violation | undefined => {
      for (const one of news) {
        const violation = take(one);
        if (violation !== undefined) return violation;
      }
      for (const one of news) {
        const violation = differs(one) ?? parts(one);
        if (violation !== undefined) return violation;
      }
      return undefined;
    },
    /** What a broker folded for itself must be what its ledgers said at some moment. */
    agrees: (csp: Csp, peer: TrustDomain, state: string): Violation | undefined => {
      const fold = sides.get(csp.domain)?.folds.get(peer);
      if (fold?.states.has(state) === true || fold === undefined || csp.restores > 0) return undefined;
      return wrong(`the broker of ${csp.domain} is in a state that its events do not fold to: ${state}`);
    },
    journeyOf: (csp: Csp, peer: TrustDomain): Journey => sides.get(csp.domain)?.folds.get(peer)?.journey ?? initialJourney(VM),
  };
}
