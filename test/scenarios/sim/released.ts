import type { TrustDomain } from '@carnet/events';
import type { Journey } from '@carnet/saga';
import type { Csp } from './csp.ts';
import type { Custody } from './custody.ts';
import type { Violation } from './violation.ts';

/**
 * I4 of one whose database was restored, once its broker has looked: what it has released, and has no answer to, it does not use. Asked of two looks at a
 * journey, one after the other: the first may have begun before the release was home.
 */
export function createReleased(
  custody: Custody,
  everybody: () => readonly Csp[],
  journeyOf: (csp: Csp, peer: TrustDomain) => Journey,
) {
  const looked = new Map<Csp, Set<string>>();
  const seen = new Set<string>();

  const inUse = (csp: Csp, peers: ReadonlySet<string>): Violation | undefined => {
    const newest = everybody()
      .flatMap(({ domain }) => (domain === csp.domain ? [] : journeyOf(csp, domain).migrations))
      .toSorted((a, b) => a.epoch - b.epoch)
      .at(-1);
    if (newest?.source !== csp.domain || newest.sourcePhase !== 'released' || !peers.has(newest.target)) return undefined;
    const { MigrationRelinquished: relinquished, BreakGlassResumed: broken } = newest.facts;
    if (relinquished !== undefined || broken !== undefined || !custody.isActive(csp.database)) return undefined;
    const text = `${csp.domain} has released its key @${newest.epoch}, and uses it again`;
    if (seen.has(text)) return { rule: 'I4 one key', text };
    seen.add(text);
    return undefined;
  };
  return {
    looked: (csp: Csp, peer: string): void => {
      if (csp.restores > 0) looked.set(csp, (looked.get(csp) ?? new Set()).add(peer));
    },
    isDue: (): boolean => looked.size > 0,
    inUse: (): Violation | undefined => {
      const found = [...looked].map(([csp, peers]) => inUse(csp, peers)).find((one) => one !== undefined);
      looked.clear();
      return found;
    },
  };
}
