import { EARLY_EVENTS_MAX } from './limits.ts';
import type { Peek } from './peek.ts';

export type Delivery = {
  /** The exact bytes. */
  readonly envelope: Uint8Array;
  /** The bus subject they came on; absent for re-sent ones. */
  readonly subject?: string;
};

export type EarlyEvent = { readonly delivery: Delivery; readonly peek: Peek };

/**
 * Signed events that cannot be placed yet, by position: their predecessor is missing, or one that they rely on. Bounded: the
 * furthest go first, since all can be asked for again.
 */
export type EarlyEvents = {
  readonly at: (seq: number) => EarlyEvent | undefined;
  readonly keep: (seq: number, event: EarlyEvent) => void;
  /** Drops what is placed by now. */
  readonly forgetUpTo: (seq: number) => void;
  readonly peeks: () => readonly Peek[];
  readonly size: () => number;
};

export function earlyEvents(): EarlyEvents {
  const held = new Map<number, EarlyEvent>();
  return {
    at: (seq) => held.get(seq),
    keep: (seq, event) => {
      held.set(seq, event);
      if (held.size > EARLY_EVENTS_MAX) held.delete(Math.max(...held.keys()));
    },
    forgetUpTo: (seq) => {
      for (const position of held.keys()) if (position <= seq) held.delete(position);
    },
    peeks: () => [...held.values()].map(({ peek }) => peek),
    size: () => held.size,
  };
}
