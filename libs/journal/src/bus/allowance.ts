import type { Clock } from '../ports.ts';

/** So much at once, and so much per second for ever (a token bucket). */
export type Allowance = {
  /** May go below nothing: what is here is here. */
  readonly spend: (amount: number) => void;
  /** From nothing left until half of all is there again: whoever is held is held for a while, not for each piece. */
  readonly isSpent: () => boolean;
};

export function openAllowance(clock: Clock, of: { readonly burst: number; readonly perSecond: number }): Allowance {
  let left = of.burst;
  let filledMs = clock.nowMs();
  let spent = false;
  const fill = (): void => {
    const nowMs = clock.nowMs();
    // A clock that was set back fills nothing, and takes nothing away.
    left = Math.min(of.burst, left + (Math.max(0, nowMs - filledMs) * of.perSecond) / 1_000);
    filledMs = nowMs;
  };
  return {
    spend: (amount) => {
      fill();
      left -= amount;
    },
    isSpent: () => {
      fill();
      spent = left < (spent ? of.burst / 2 : 0);
      return spent;
    },
  };
}
