import type { Csp } from './csp.ts';
import { losingFolder, restoringDatabase, settingBack, type WithBus } from './restores.ts';

export type Side = 'source' | 'target';

/** What befalls a scripted move at one of its places, where no process dies by it. */
export type Elsewhere =
  /** Nothing is heard on the bus, by anybody, for so long. */
  | { readonly what: 'bus away'; readonly ms: number }
  /** Its streams and consumers are what they were so long ago. Infinity: a new bus. */
  | { readonly what: 'bus set back'; readonly ms: number }
  /** The guest's process, where there is one; all else goes on. */
  | { readonly what: 'guest dies'; readonly at: Side }
  /** To what it was so many places before, or (infinity) at the first: the database, the machine with all that it keeps, or the folder beside the database. */
  | { readonly what: Going; readonly of: readonly Side[]; readonly places: number };
type Going = keyof typeof GOING_BACK;

export type Around = WithBus & { readonly hindered: (ms: number) => void };

const GOING_BACK = {
  'database set back': restoringDatabase,
  'machine set back': settingBack,
  'folder set back': (of: WithBus, csp: Csp) => losingFolder(of, csp, 'older'),
  'folder lost': (of: WithBus, csp: Csp) => losingFolder(of, csp, 'empty'),
} as const;

const sidesOf = (csps: readonly Csp[], sides: readonly Side[]): readonly Csp[] =>
  csps.filter((_, n) => sides.includes(n === 0 ? 'source' : 'target'));

export const textOf = (elsewhere: Elsewhere): string => {
  switch (elsewhere.what) {
    case 'bus away':
      return `the bus is away for ${elsewhere.ms} ms`;
    case 'bus set back':
      return `the bus is set back by ${elsewhere.ms} ms`;
    case 'guest dies':
      return `the guest at the ${elsewhere.at} dies`;
    case 'database set back':
    case 'machine set back':
    case 'folder set back':
    case 'folder lost':
      return `${elsewhere.what}, of ${agoText(elsewhere)}, at ${elsewhere.of.join(' and ')},`;
  }
};

const agoText = ({ places }: { readonly places: number }): string =>
  Number.isFinite(places) ? `${places} places ago` : 'the first place';

/** Called at each place with how far it is from the one where it happens: 0 there, negative before. */
export function createElsewhere(elsewhere: Elsewhere, of: () => Around): (from: number) => void {
  let goBack: readonly ((what: string) => void)[] | undefined;
  return (from) => {
    switch (elsewhere.what) {
      case 'bus away':
        if (from !== 0) return;
        for (const { domain } of of().csps) of().bus.cutOff(domain, 'both', elsewhere.ms);
        of().hindered(elsewhere.ms);
        return;
      case 'bus set back':
        if (from === 0) of().bus.setBack(elsewhere.ms);
        return;
      case 'guest dies':
        if (from === 0) for (const { host } of sidesOf(of().csps, [elsewhere.at])) host.guestDies();
        return;
      case 'database set back':
      case 'machine set back':
      case 'folder set back':
      case 'folder lost': {
        const parts = of();
        // At the first place of all, where there are not so many before.
        if (from >= -elsewhere.places)
          goBack ??= sidesOf(parts.csps, elsewhere.of).map((csp) => GOING_BACK[elsewhere.what](parts, csp));
        // Not from within the transaction that stands here.
        if (from === 0)
          parts.scheduler.at(parts.scheduler.elapsedMs(), () => {
            for (const act of goBack ?? []) act(agoText(elsewhere));
          });
        return;
      }
    }
  };
}
