import { type Timestamp, type TrustDomain, timestamp } from '@carnet/events';
import type { Journey } from '@carnet/saga';
import { isOpenHere } from './moving.ts';

/**
 * Whether this CSP can owe nothing any more: its own side of every migration is over, or a peer's intent came too late to be
 * answered. What the peer still owes itself is no work of ours; its event is a notice when it comes.
 */
export const isSettled = (journey: Journey, self: TrustDomain, now: Timestamp): boolean =>
  journey.migrations.every((m) => {
    if (m.target !== self || m.targetPhase !== 'idle') return !isOpenHere(m, self);
    return m.sourcePhase !== 'intended' || (m.facts.MigrationIntended?.data.offerBy ?? '') < now;
  });

/** Settled whatever the clock says: one that was wrong must not be believed after it was set right. */
export const isSettledForGood = (journey: Journey, self: TrustDomain): boolean => isSettled(journey, self, EARLIEST);

const EARLIEST = timestamp.parse('0001-01-01T00:00:00.000Z');
