import { createHeap } from './heap.ts';
import { FRESH_PER_REST, FRESH_PLACES_MAX, OTHERS_LATELY_MS, PEER_PLACES_MAX, URGENT_PLACES_MAX } from './limits.ts';

/** One VM and one peer: the unit of work. Two replicas never hold the same one at once. */
export interface JourneyKey {
  readonly vm: string;
  readonly peer: string;
}

/**
 * `fresh`: nothing is begun in it, as far as is known: never looked at, or it owes an answer to what a peer asks. `urgent`: a VM stands still until
 * it goes on.
 */
export type Class = 'fresh' | 'begun' | 'urgent';

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
  class: Class;
  /** When it became busy last. */
  takenMs: number;
}

/** When to look next: at a time, or not before something happens. `restMs`: see {@link Slot}. */
export interface Next {
  readonly dueMs: number;
  readonly restUntilMs?: number;
}
export const FORGET: Next = { dueMs: Number.POSITIVE_INFINITY };

export interface Agenda {
  /** @param urgent it is, unless nothing is begun in it; the next look says whether it stays so */
  readonly notice: (key: JourneyKey, urgent?: boolean) => void;
  readonly has: (key: JourneyKey) => boolean;
  /**
   * The next journey, now busy. While others have work each peer has its share: the peer with the fewest places first, none with more than
   * `PEER_PLACES_MAX`, nor with more than `FRESH_PLACES_MAX` for what it newly asks, with rests between. Of one peer, what is urgent, up to
   * `URGENT_PLACES_MAX` places, and then whoever has waited longest beyond its time: so a peer that calls everything urgent delays its own alone.
   */
  readonly takeDue: () => Slot | undefined;
  /** Of a busy one: something is owed in it. Its peer has work, and others leave it room. */
  readonly works: (slot: Slot) => void;
  /** Of a busy one: more is under way in it than an answer, from now on. */
  readonly begin: (slot: Slot, as: Exclude<Class, 'fresh'>) => void;
  readonly finish: (slot: Slot, next: Next) => void;
  /** Milliseconds until the next look that may be taken is due; `undefined`: none waits, or the end of another comes first. */
  readonly waitMs: () => number | undefined;
  readonly size: () => number;
  /** Journeys with this peer in which nothing is begun. */
  readonly freshOf: (peer: string) => number;
}

const nameOf = (key: JourneyKey): string => `${key.vm}\n${key.peer}`;

/** A slot's turn as it was once queued. The slot may have been brought forward since, or taken: then another entry counts. */
type Turn = { readonly slot: Slot; readonly dueMs: number; readonly order: number };

/** Of two that are due at once, whoever was queued first. */
const earlier = (a: Turn, b: Turn): number => a.dueMs - b.dueMs || a.order - b.order;

const CLASSES = ['fresh', 'begun', 'urgent'] as const satisfies readonly Class[];

/** One peer's journeys: how many there are, how many are busy, and who waits. */
type Queue = { readonly waiting: ReturnType<typeof createHeap<Turn>>; count: number; busy: number };
type PeerQueues = Readonly<Record<Class, Queue>> & { freshRestUntilMs: number };

const newQueue = (): Queue => ({ waiting: createHeap<Turn>(earlier), count: 0, busy: 0 });
/** How many times as long as it took. */
const restOf = ({ fresh }: PeerQueues): number => Math.max(1, fresh.count / FRESH_PER_REST);
const sumOf = (queues: PeerQueues, what: 'count' | 'busy'): number => CLASSES.reduce((sum, one) => sum + queues[one][what], 0);

/** Heaps of turns: ten thousand journeys after a restart must not cost ten thousand steps each. */
export function createAgenda(nowMs: () => number): Agenda {
  const slots = new Map<string, Slot>();
  const peers = new Map<string, PeerQueues>();
  /** When each peer last had work. */
  const workedMs = new Map<string, number>();
  let order = 0;
  const isAlone = (peer: string): boolean =>
    ![...workedMs].some(([other, at]) => other !== peer && nowMs() - at < OTHERS_LATELY_MS);
  const queuesOf = ({ key: { peer } }: Slot): PeerQueues => {
    const held = peers.get(peer) ?? { fresh: newQueue(), begun: newQueue(), urgent: newQueue(), freshRestUntilMs: 0 };
    peers.set(peer, held);
    return held;
  };
  const queue = (slot: Slot): void => {
    order += 1;
    queuesOf(slot)[slot.class].waiting.push({ slot, dueMs: slot.dueMs, order });
  };
  /** Turns that no longer count are dropped when they reach the front; at most a few for each look. */
  const earliestIn = (queues: PeerQueues, of: Class): Turn | undefined => {
    const { waiting } = queues[of];
    for (let turn = waiting.peek(); turn !== undefined; turn = waiting.peek()) {
      const { slot, dueMs } = turn;
      if (!slot.busy && slot.class === of && slot.dueMs === dueMs && slots.get(nameOf(slot.key)) === slot) return turn;
      waiting.pop();
    }
    return undefined;
  };
  /** A peer's next turn, as far as its share goes. Alone, it may have all. */
  const nextOf = (peer: string, queues: PeerQueues): Turn | undefined => {
    const alone = isAlone(peer);
    if (!alone && sumOf(queues, 'busy') >= PEER_PLACES_MAX) return undefined;
    const urgent = earliestIn(queues, 'urgent');
    if (urgent !== undefined && urgent.dueMs <= nowMs() && queues.urgent.busy < URGENT_PLACES_MAX) return urgent;
    const begun = earliestIn(queues, 'begun');
    const fresh = alone || queues.fresh.busy < FRESH_PLACES_MAX ? earliestIn(queues, 'fresh') : undefined;
    const rested = fresh && !alone ? { ...fresh, dueMs: Math.max(fresh.dueMs, queues.freshRestUntilMs) } : fresh;
    return [urgent, begun, rested].flatMap((turn) => turn ?? []).toSorted(earlier)[0];
  };
  const move = (slot: Slot, to: Class): void => {
    if (slot.class === to) return;
    const queues = queuesOf(slot);
    for (const what of slot.busy ? (['count', 'busy'] as const) : (['count'] as const)) {
      queues[slot.class][what] -= 1;
      queues[to][what] += 1;
    }
    slot.class = to;
  };
  const nextTurns = (): readonly { readonly queues: PeerQueues; readonly turn: Turn }[] =>
    [...peers].flatMap(([peer, queues]) => {
      const turn = nextOf(peer, queues);
      return turn === undefined ? [] : [{ queues, turn }];
    });

  return {
    notice: (key, urgent = false) => {
      const held = slots.get(nameOf(key));
      if (held === undefined) {
        const slot: Slot = {
          key,
          dueMs: nowMs(),
          restUntilMs: 0,
          attempts: 0,
          lastCommand: '',
          busy: false,
          again: false,
          class: 'fresh',
          takenMs: 0,
        };
        slots.set(nameOf(key), slot);
        queuesOf(slot).fresh.count += 1;
        queue(slot);
      } else if (held.busy) held.again = true;
      else {
        const isRaised = urgent && held.class === 'begun';
        if (isRaised) move(held, 'urgent');
        const forwardMs = Math.max(nowMs(), held.restUntilMs);
        if (forwardMs >= held.dueMs && !isRaised) return;
        held.dueMs = Math.min(forwardMs, held.dueMs);
        queue(held);
      }
    },
    has: (key) => slots.has(nameOf(key)),
    takeDue: () => {
      const due = nextTurns().filter(({ turn }) => turn.dueMs <= nowMs());
      const [first] = due.toSorted((a, b) => sumOf(a.queues, 'busy') - sumOf(b.queues, 'busy') || earlier(a.turn, b.turn));
      if (first === undefined) return undefined;
      const { slot } = first.turn;
      const from = first.queues[slot.class];
      from.waiting.pop();
      from.busy += 1;
      slot.busy = true;
      slot.takenMs = nowMs();
      return slot;
    },
    works: ({ key: { peer } }) => void workedMs.set(peer, nowMs()),
    begin: move,
    finish: (slot, { dueMs, restUntilMs = 0 }) => {
      const queues = queuesOf(slot);
      const of = queues[slot.class];
      of.busy -= 1;
      if (slot.class === 'fresh') queues.freshRestUntilMs = nowMs() + restOf(queues) * (nowMs() - slot.takenMs);
      slot.busy = false;
      slot.restUntilMs = restUntilMs;
      slot.dueMs = slot.again ? Math.min(dueMs, Math.max(nowMs(), restUntilMs)) : dueMs;
      slot.again = false;
      if (slot.dueMs === Number.POSITIVE_INFINITY) {
        slots.delete(nameOf(slot.key));
        of.count -= 1;
      } else queue(slot);
      if (sumOf(queues, 'count') === 0) peers.delete(slot.key.peer);
    },
    waitMs: () => {
      const turns = nextTurns();
      return turns.length === 0 ? undefined : Math.max(0, Math.min(...turns.map(({ turn }) => turn.dueMs)) - nowMs());
    },
    size: () => slots.size,
    freshOf: (peer) => peers.get(peer)?.fresh.count ?? 0,
  };
}
