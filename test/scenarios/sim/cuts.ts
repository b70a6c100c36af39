import type { TrustDomain } from '@carnet/events';
import type { Life, Scheduler } from './scheduler.ts';

/** What a CSP that is cut off cannot do: be heard, hear, or either. */
export const CUT_WAYS = ['out', 'in', 'both'] as const;
export type CutWay = (typeof CUT_WAYS)[number];

export const CUT_TEXT: Readonly<Record<CutWay, string>> = {
  out: 'is not heard',
  in: 'hears nothing',
  both: 'is cut off',
};

type Watcher = { readonly domain: TrustDomain; readonly life: Life; readonly back: () => void };

/** Who is cut off from the bus. Its client notices only where nothing goes either way; else its requests are not answered in time. */
export function createCuts(scheduler: Scheduler) {
  const [unheard, deaf] = [new Map<string, number>(), new Map<string, number>()];
  const watchers = new Set<Watcher>();
  const isUntil = (until: ReadonlyMap<string, number>, domain: string): boolean =>
    (until.get(domain) ?? 0) > scheduler.elapsedMs();
  const isUnheard = (domain: string): boolean => isUntil(unheard, domain);
  const isDeaf = (domain: string): boolean => isUntil(deaf, domain);
  const isDown = (domain: string): boolean => isUnheard(domain) && isDeaf(domain);
  const reconnected = (domain: TrustDomain): void => {
    for (const watcher of watchers)
      if (watcher.domain === domain && !watcher.life.dead && !isDown(domain)) scheduler.within(watcher.life, watcher.back);
  };
  return {
    isUnheard,
    isDeaf,
    isDown,
    deafUntilMs: (domain: string): number => deaf.get(domain) ?? 0,
    begin: (domain: TrustDomain, way: CutWay, ms: number): void => {
      const until = scheduler.elapsedMs() + ms;
      // A short cut does not end a longer one.
      const later = (of: ReadonlyMap<string, number>): number => Math.max(until, of.get(domain) ?? 0);
      if (way !== 'in') unheard.set(domain, later(unheard));
      if (way !== 'out') deaf.set(domain, later(deaf));
      if (way === 'both') scheduler.at(until, () => reconnected(domain));
    },
    end: (): void => {
      const domains = new Set([...watchers].map(({ domain }) => domain).filter(isDown));
      for (const until of [unheard, deaf]) until.clear();
      for (const domain of domains) reconnected(domain);
    },
    /** Called whenever the connection is back. */
    watch: (watcher: Watcher): (() => void) => {
      watchers.add(watcher);
      return () => void watchers.delete(watcher);
    },
  };
}
