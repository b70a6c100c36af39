import type { HeadPosition, TrustDomain } from '@carnet/events';
import { type HeadFile, headOfKept, type Kept } from '../../../libs/journal/src/head-file.ts';
import { positionOf } from '../../../libs/trust/src/index.ts';

/** What a CSP keeps outside of its database, of each ledger: what a restore does not bring back. */
export type Heads = Map<TrustDomain, Kept>;
/** `forgotten`: nothing is kept. `heads`: where a ledger ends, and not its events. */
export type HeadRule = 'kept' | 'heads' | 'forgotten';

const further = (a: HeadPosition, b: HeadPosition): HeadPosition => (positionOf(b?.seq) > positionOf(a?.seq) ? b : a);

/**
 * How many covered events a file keeps, the newest. In every other history none: what the peer holds must come from the peer, and then one CSP at
 * most is restored. Else as in the product, which keeps megabytes of them: both sides may be restored, behind what they had acknowledged.
 */
export type CoveredKept = 'none' | 'newest';
export const coveredKeptOf = (seed: number): CoveredKept => (seed % 2 === 0 ? 'none' : 'newest');
const NEWEST = 64;

/** In memory. */
export function headFileOf(heads: Heads, audience: TrustDomain, rule: HeadRule, coveredKept: CoveredKept): HeadFile {
  const stay = coveredKept === 'none' ? 0 : NEWEST;
  const kept = (): Kept => (rule === 'forgotten' ? undefined : heads.get(audience)) ?? { told: null, events: [] };
  let known = kept();
  const write = (next: Kept): void => {
    known = rule === 'kept' ? next : { told: headOfKept(next), events: [] };
    if (rule !== 'forgotten') heads.set(audience, known);
  };
  return {
    read: async () => {
      known = kept();
      return known;
    },
    known: () => headOfKept(known),
    told: () => known.told,
    isFull: () => false,
    isLarge: () => false,
    keep: async (events, told) => {
      const now = kept();
      const fresh = events.filter(({ seq }) => seq > positionOf(headOfKept(now)?.seq));
      write({ told: further(now.told, told), events: [...now.events, ...fresh] });
    },
    covered: async (head) => {
      const now = kept();
      write({
        told: further(now.told, head),
        events: now.events.filter(({ seq }) => seq > positionOf(head?.seq) - stay),
      });
    },
  };
}
