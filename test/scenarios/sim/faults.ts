import type { Random } from './random.ts';
import type { Fate } from './scheduler.ts';

export type Fault = { readonly n: number; readonly what: string };

/** Which of the faults that the seed drew happen; all are drawn from one stream, so that leaving one out leaves the others what they are. */
export type Faults = {
  readonly take: (what: string) => boolean;
  readonly due: (what: string) => boolean;
  readonly extraDelayMs: () => number;
  /** How long a command to a host is held back, once in a long while. */
  readonly heldBackMs: () => number;
  readonly fate: (what: string, among: readonly Fate[]) => Fate;
  readonly pause: () => void;
  readonly resume: () => void;
  readonly calm: () => void;
  readonly isCalm: () => boolean;
};

export type FaultOptions = {
  /** Scales how likely each fault is. 0: none. */
  readonly storm: number;
  /** Faults by number that do not happen: how a failing history is made smaller. */
  readonly without: ReadonlySet<number>;
};

/** How likely each is at each chance that it gets, in a storm of 1. */
const LIKELY: Readonly<Record<string, number>> = {
  'bus repeats': 0.05,
  'bus drops': 0.05,
  'acknowledgement lost': 0.03,
  'bus forgets what it recognised': 0.2,
  'message lost': 0.05,
  'message repeated': 0.03,
  'bus delays': 0.03,
  'command held back': 0.02,
  'bus call': 0.02,
  'database call': 0.001,
  'commit unreported': 0.004,
  'host call': 0.03,
  'host port': 0.012,
  'key operation': 0.01,
  'lease lost': 0.002,
  'crash before a write': 0.0015,
  'crash after a write': 0.004,
  'crash after a publish': 0.004,
  'crash after an acknowledgement': 0.004,
  'crash before a host effect': 0.001,
  'crash after a host effect': 0.001,
  'power lost after a host effect': 0.001,
  'libvirtd restarts after a host effect': 0.001,
};

/** Longer than most moves take: what comes then is of an attempt that has ended. */
const HELD_BACK_MS_MAX = 300_000;

export function createFaults(random: Random, { storm, without }: FaultOptions, happened: (fault: Fault) => void): Faults {
  let n = 0;
  let calm = storm === 0;
  let paused = false;
  const take = (what: string): boolean => {
    if (calm || paused || !random.chance((LIKELY[what] ?? 0) * storm)) return false;
    n += 1;
    if (without.has(n)) return false;
    happened({ n, what });
    return true;
  };
  return {
    take,
    /** A fault that the world decides by itself, once its time has come. */
    due: (what: string): boolean => {
      n += 1;
      if (calm || without.has(n)) return false;
      happened({ n, what });
      return true;
    },
    extraDelayMs: (): number => (take('bus delays') ? random.below(8_000) : 0),
    heldBackMs: (): number => (take('command held back') ? random.below(HELD_BACK_MS_MAX) : 0),
    fate: (what: string, among: readonly Fate[]): Fate => (take(what) ? random.pick(among) : 'done'),
    pause: (): void => {
      paused = true;
    },
    resume: (): void => {
      paused = false;
    },
    calm: (): void => {
      calm = true;
    },
    isCalm: (): boolean => calm,
  };
}

/** What can happen at one place, and nowhere else: a process dies, or a host has no power, or its libvirtd restarts. */
export type Accidental = 'crash ' | 'power ' | 'libvirtd ';

/** What happens at a place instead, in words, and how it is done: `from` 0 there, negative before. */
export type Instead = { readonly text: string; readonly happens: (from: number) => void };

/** Nothing but one accident, at the nth of all places where it can be; `places` says how many there were. */
export function createCrash(
  at: number,
  accident: Accidental,
  instead: Instead | undefined,
  happened: (fault: Fault) => void,
): Faults & { readonly places: () => number } {
  let [n, paused] = [0, false];
  return {
    take: (what) => {
      if (paused || !what.startsWith(accident)) return false;
      n += 1;
      if (n === at) happened({ n, what: instead === undefined ? what : what.replace(accident, `${instead.text} `) });
      instead?.happens(n - at);
      return n === at && instead === undefined;
    },
    // Asked by what the script itself lets happen.
    due: () => true,
    extraDelayMs: () => 0,
    heldBackMs: () => 0,
    fate: () => 'done',
    pause: () => {
      paused = true;
    },
    resume: () => {
      paused = false;
    },
    calm: () => undefined,
    isCalm: () => true,
    places: () => n,
  };
}
