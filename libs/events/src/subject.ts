import type { Placement } from './event.ts';
import type { TrustDomain } from './scalars.ts';

/** A trust domain as one NATS token. Injective, since a trust domain holds no underscore. */
export const subjectToken = (domain: TrustDomain): string => domain.replaceAll('.', '_');

const FAMILIES: ReadonlyMap<string, string> = new Map([
  ['KeyAnnounced', 'key'],
  ['KeyRevoked', 'key'],
  ['KeyStateChanged', 'key'],
  ['PolicyAnnounced', 'policy'],
  ['KeyEscrowed', 'escrow'],
  ['EscrowDrilled', 'escrow'],
  ['RecoveryRequested', 'escrow'],
  ['RecoveryApproved', 'escrow'],
  ['KeyRecovered', 'escrow'],
  ['AgreementProposed', 'agreement'],
  ['AgreementAccepted', 'agreement'],
]);
/** Subjects family of an event type: keys (of the ledger, and of VMs outside any migration), policy and escrow concern the ledger itself. */
const family = (type: string): string => FAMILIES.get(type) ?? 'migration';

/** `fed.<publisher>.<audience>.<family>.<migration|->` (protocol, section 3). */
export const eventSubject = (e: Pick<Placement, 'publisher' | 'audience' | 'type' | 'migration'>): string =>
  `fed.${subjectToken(e.publisher)}.${subjectToken(e.audience)}.${family(e.type)}.${e.migration ?? '-'}`;

/** All subjects of one ledger. */
export const ledgerSubjects = (publisher: TrustDomain, audience: TrustDomain): string =>
  `fed.${subjectToken(publisher)}.${subjectToken(audience)}.>`;

/** JetStream stream of one ledger: only its publisher may write to it, only its audience may read it. */
export const ledgerStream = (publisher: TrustDomain, audience: TrustDomain): string =>
  `fed-${subjectToken(publisher)}-${subjectToken(audience)}`;

/** Core NATS subject for peer messages (heads, asks, answers): never stored, never an event. */
export const peerSubject = (from: TrustDomain, to: TrustDomain): string => `peer.${subjectToken(from)}.${subjectToken(to)}`;
