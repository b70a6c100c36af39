import type { TrustDomain } from '@carnet/events';
import {
  INTAKE_BYTES_BURST,
  INTAKE_BYTES_PER_SECOND,
  OTHERS_LATELY_MS,
  REST_MS_MAX,
  UNANSWERED_AGAIN,
  UNANSWERED_MAX,
} from '../limits.ts';
import type { Clock } from '../ports.ts';
import { openAllowance } from './allowance.ts';

/** Why nothing more of a peer is taken from the bus for now. It stays there, and with the peer, in its order: nothing is lost. */
export type Held = 'unanswered' | 'bytes';

/** How much of one peer's ledger is placed here, and when. Threat: an admitted peer that never stops, with events that are all good. */
export type Intake = {
  readonly heldBy: () => Held | undefined;
  /** A batch was judged in so many milliseconds: how long this peer rests, so that others have their turn. */
  readonly took: (bytes: number, ms: number) => number;
};

/**
 * One intake for each peer. Bounded are how far we are behind with what it asks (`unanswered`: what it published is answered before more is
 * placed), the bytes that it makes us store for ever, and its share of our time while others are heard.
 */
export function openIntakes(clock: Clock, unanswered: (peer: TrustDomain) => number): (peer: TrustDomain) => Intake {
  const lastMs = new Map<TrustDomain, number>();
  return (peer) => {
    const bytes = openAllowance(clock, { burst: INTAKE_BYTES_BURST, perSecond: INTAKE_BYTES_PER_SECOND });
    let behind = false;
    return {
      heldBy: () => {
        behind = unanswered(peer) >= (behind ? UNANSWERED_AGAIN : UNANSWERED_MAX);
        if (behind) return 'unanswered';
        return bytes.isSpent() ? 'bytes' : undefined;
      },
      took: (length, ms) => {
        bytes.spend(length);
        const nowMs = clock.nowMs();
        lastMs.set(peer, nowMs);
        const others = [...lastMs].some(([other, at]) => other !== peer && nowMs - at < OTHERS_LATELY_MS);
        return others ? Math.min(ms, REST_MS_MAX) : 0;
      },
    };
  };
}
