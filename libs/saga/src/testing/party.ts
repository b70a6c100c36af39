import {
  type Digest,
  type Draft,
  digest,
  eventId,
  GENESIS,
  type MigrationEvent,
  seq,
  type Timestamp,
  type TrustDomain,
} from '@carnet/events';
import { decide, type Proposal } from '../decide.ts';
import { evolve, type Placed } from '../evolve.ts';
import { initialJourney, type Journey } from '../journey.ts';
import { react } from '../react.ts';
import { performed } from './performer.ts';
import { CSP_A, VM } from './samples.ts';

/** One broker without its machinery: its own ledger, how much of the peer's it has received, and the fold of both. */
export type Party = {
  readonly self: TrustDomain;
  readonly peer: TrustDomain;
  readonly journey: Journey;
  readonly ledger: readonly Placed[];
  readonly received: number;
};

export const party = (self: TrustDomain, peer: TrustDomain): Party => ({
  self,
  peer,
  journey: initialJourney(VM),
  ledger: [],
  received: 0,
});

/** Stands for the SHA-256 of an envelope: unique for a place in a ledger. */
export const placeDigest = (publisher: TrustDomain, position: number): Digest =>
  digest.parse(`${publisher === CSP_A ? 'a' : 'b'}${position.toString(16).padStart(63, '0')}`);

export function placed(
  draft: Draft<MigrationEvent>,
  publisher: TrustDomain,
  audience: TrustDomain,
  position: number,
  time: Timestamp,
): Placed {
  const event: MigrationEvent = {
    ...draft,
    v: 1,
    id: eventId.parse(
      `0197${position.toString(16).padStart(4, '0')}-0000-7000-${publisher === CSP_A ? '8' : '9'}000-000000000000`,
    ),
    publisher,
    audience,
    seq: seq.parse(String(position)),
    prev: position === 1 ? GENESIS : placeDigest(publisher, position - 1),
    time,
  };
  return { event, digest: placeDigest(publisher, position) };
}

/** Appends a draft without asking anyone: for liars. */
export function append(p: Party, draft: Draft<MigrationEvent>, time: Timestamp): Party {
  const next = placed(draft, p.self, p.peer, p.ledger.length + 1, time);
  return { ...p, ledger: [...p.ledger, next], journey: evolve(p.journey, next).journey };
}

/** What an honest broker does with a proposal: nothing, if it is refused. */
export function propose(p: Party, proposal: Proposal, now: Timestamp): Party {
  const decision = decide(p.journey, p.self, proposal, now);
  return decision.ok ? append(p, decision.draft, now) : p;
}

/** The next event of the peer arrives. */
export function receive(p: Party, from: Party): Party {
  const next = from.ledger[p.received];
  return next ? { ...p, received: p.received + 1, journey: evolve(p.journey, next).journey } : p;
}

/** Performs, successfully, the first thing that is owed. */
export function step(p: Party, now: Timestamp): Party {
  const [owed] = react(p.journey, p.self, now);
  return owed ? propose(p, performed(owed, now), now) : p;
}
