import { createHeap } from './heap.ts';

/** One VM and one peer: the unit of work. Two replicas never hold the same one at once. */
export interface JourneyKey {
  readonly vm: string;
  readonly peer: string;
}

/** A journey that is being followed. Nothing in it is truth: lost with the process, it is made again from the ledgers. */
export interface Slot {
  readonly key: JourneyKey;
  dueMs: number;
  /** A notice brings no look forward past this: a peer that floods us with events must not undo the back-off. */
  restUntilMs: number;
  attempts: number;
  lastCommand: string;
  busy: boolean;
  /** Noticed while busy: look again as soon as this look ends. */
  again: boolean;
}

/** When to look next: at a time, or not before something happens. `restMs`: see {@link Slot}. */
export interface Next {
  readonly dueMs: number;
  readonly restUntilMs?: number;
}
export const FORGET: Next = { dueMs: Number.POSITIVE_INFINITY };

export interface Agenda {
  readonly notice: (key: JourneyKey) => void;
  readonly has: (key: JourneyKey) => boolean;
  /** The journey that has waited longest beyond its time, now busy. Longest first: nobody starves behind the busy ones. */
  readonly takeDue: () => Slot | undefined;
  readonly finish: (slot: Slot, next: Next) => void;
  /** Milliseconds until the next look is due; `undefined`: nothing waits. */
  readonly waitMs: () => number | undefined;
  readonly size: () => number;
}

const nameOf = (key: JourneyKey): string => `${key.vm}\n${key.peer}`;

/** A slot's turn as it was once queued. The slot may have been brought forward since, or taken: then another entry counts. */
type Turn = { readonly slot: Slot; readonly dueMs: number; readonly order: number };

/** Of two that are due at once, whoever was queued first. */
const earlier = (a: Turn, b: Turn): number => a.dueMs - b.dueMs || a.order - b.order;

/** A heap of turns: ten thousand journeys after a restart must not cost ten thousand steps each. */
export function createAgenda(nowMs: () => number): Agenda {
  const slots = new Map<string, Slot>();
  const turns = createHeap<Turn>(earlier);
  let order = 0;
  const queue = (slot: Slot): void => {
    order += 1;
    turns.push({ slot, dueMs: slot.dueMs, order });
  };
  /** Turns that no longer count are dropped when they reach the front; at most a few for each look. */
  const earliest = (): Slot | undefined => {
    for (let turn = turns.peek(); turn !== undefined; turn = turns.peek()) {
      if (!turn.slot.busy && turn.slot.dueMs === turn.dueMs && slots.get(nameOf(turn.slot.key)) === turn.slot) return turn.slot;
      turns.pop();
    }
    return undefined;
  };

  return {
    notice: (key) => {
      const held = slots.get(nameOf(key));
      if (held === undefined) {
        const slot = { key, dueMs: nowMs(), restUntilMs: 0, attempts: 0, lastCommand: '', busy: false, again: false };
        slots.set(nameOf(key), slot);
        queue(slot);
      } else if (held.busy) held.again = true;
      else {
        const forwardMs = Math.max(nowMs(), held.restUntilMs);
        if (forwardMs >= held.dueMs) return;
        held.dueMs = forwardMs;
        queue(held);
      }
    },
    has: (key) => slots.has(nameOf(key)),
    takeDue: () => {
      const first = earliest();
      if (first === undefined || first.dueMs > nowMs()) return undefined;
      turns.pop();
      first.busy = true;
      return first;
    },
    finish: (slot, { dueMs, restUntilMs = 0 }) => {
      slot.busy = false;
      slot.restUntilMs = restUntilMs;
      slot.dueMs = slot.again ? Math.min(dueMs, Math.max(nowMs(), restUntilMs)) : dueMs;
      slot.again = false;
      if (slot.dueMs === Number.POSITIVE_INFINITY) slots.delete(nameOf(slot.key));
      else queue(slot);
    },
    waitMs: () => {
      const first = earliest();
      return first === undefined ? undefined : Math.max(0, first.dueMs - nowMs());
    },
    size: () => slots.size,
  };
}
