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

export function createAgenda(nowMs: () => number): Agenda {
  const slots = new Map<string, Slot>();
  const waiting = (): readonly Slot[] => [...slots.values()].filter((slot) => !slot.busy);
  const earliest = (among: readonly Slot[]): Slot | undefined =>
    among.reduce<Slot | undefined>((first, slot) => (first === undefined || slot.dueMs < first.dueMs ? slot : first), undefined);

  return {
    notice: (key) => {
      const held = slots.get(nameOf(key));
      if (held === undefined) {
        slots.set(nameOf(key), { key, dueMs: nowMs(), restUntilMs: 0, attempts: 0, lastCommand: '', busy: false, again: false });
      } else if (held.busy) held.again = true;
      else held.dueMs = Math.min(held.dueMs, Math.max(nowMs(), held.restUntilMs));
    },
    has: (key) => slots.has(nameOf(key)),
    takeDue: () => {
      const first = earliest(waiting());
      if (first === undefined || first.dueMs > nowMs()) return undefined;
      first.busy = true;
      return first;
    },
    finish: (slot, { dueMs, restUntilMs = 0 }) => {
      slot.busy = false;
      slot.restUntilMs = restUntilMs;
      slot.dueMs = slot.again ? Math.min(dueMs, Math.max(nowMs(), restUntilMs)) : dueMs;
      slot.again = false;
      if (slot.dueMs === Number.POSITIVE_INFINITY) slots.delete(nameOf(slot.key));
    },
    waitMs: () => {
      const first = earliest(waiting());
      return first === undefined ? undefined : Math.max(0, first.dueMs - nowMs());
    },
    size: () => slots.size,
  };
}
