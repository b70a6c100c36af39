import type { TrustDomain } from '@carnet/events';
import type { Csp } from './csp.ts';

/** The VM was born at the liar, or its key was released by it or to it: from then on copies may be anywhere. Before, it is the others' alone to lose. */
export const wasInLyingHands = (everybody: readonly Csp[], liar: TrustDomain | undefined): boolean =>
  liar !== undefined &&
  (everybody[0]?.domain === liar ||
    everybody.some(
      ({ domain, database }) =>
        domain !== liar &&
        database.rows(`select digest from events where type = 'KeyReleased' and (publisher = ? or audience = ?)`, liar, liar)
          .length > 0,
    ));
