import type { Timestamp, TrustDomain } from '@carnet/events';
import type { JourneyKey } from '@carnet/runtime';
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

const nameOf = ({ vm, peer }: JourneyKey): string => `${vm}\n${peer}`;

/**
 * Which journeys a sweep may pass over: those found settled, until another intent of theirs is placed. By folding, never by the
 * mere presence of a last event in a ledger: a peer may publish that event at any time, and void, and our own side would be
 * forgotten by every restart.
 */
export function createSettled() {
  const intents = new Map<string, number>();
  const settledAt = new Map<string, number>();
  return {
    /** @param placed oldest first; answered newest first: after a restart what is under way comes before a long past that has ended. */
    unsettled: (placed: readonly JourneyKey[]): readonly JourneyKey[] => {
      const keys = new Map<string, JourneyKey>();
      intents.clear();
      for (const { vm, peer } of placed) {
        const name = nameOf({ vm, peer });
        keys.set(name, { vm, peer });
        intents.set(name, (intents.get(name) ?? 0) + 1);
      }
      const open = [...keys].filter(([name]) => settledAt.get(name) !== intents.get(name));
      return open.map(([, key]) => key).toReversed();
    },
    /** Intents of the journey at the last sweep: take it before folding. */
    seen: (key: JourneyKey): number | undefined => intents.get(nameOf(key)),
    settle: (key: JourneyKey, seen: number | undefined): void => {
      if (seen !== undefined) settledAt.set(nameOf(key), seen);
    },
  };
}
