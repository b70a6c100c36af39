import type { Command } from '@carnet/saga';
import type { Log } from './log.ts';
import type { Metrics } from './metrics.ts';

/** What came of one attempt at a command. */
export type Outcome =
  /** The event it owed is in the ledger. Look again at once. */
  | { readonly kind: 'recorded' }
  /** Under way at a host: ask again after `afterMs`. */
  | { readonly kind: 'running'; readonly afterMs: number }
  /** By accident; tried again with back-off. */
  | { readonly kind: 'failed'; readonly code: string; readonly text: string };

/** One VM and one peer: the unit of work. Two replicas never hold the same one at once. */
export interface JourneyKey {
  readonly vm: string;
  readonly peer: string;
}

export interface Owed {
  readonly commands: readonly Command[];
  /** False once the journey's last migration has ended on both ledgers: it is forgotten until something happens. */
  readonly open: boolean;
  readonly wakeAtMs: number | undefined;
}

/** What the loop needs of the world. */
export interface LoopPorts {
  /** Every journey with an open migration. */
  readonly open: () => Promise<readonly JourneyKey[]>;
  /** Folds both ledgers and says what this side owes at this moment, and when a deadline next matters. */
  readonly owed: (key: JourneyKey) => Promise<Owed>;
  readonly perform: (command: Command, key: JourneyKey, attempt: number, signal: AbortSignal) => Promise<Outcome>;
  /** `undefined`: another replica holds it. The signal fires when the lease is lost. */
  readonly lease: (
    key: JourneyKey,
  ) => Promise<{ readonly signal: AbortSignal; readonly release: () => Promise<void> } | undefined>;
  readonly nowMs: () => number;
  readonly log: Log;
  readonly metrics: Metrics;
}

/** Journeys worked on at once. Each holds one database connection while it is leased. */
export const JOURNEYS_AT_ONCE = 8;
/** Full look at everything open: finds what a lost notice or a dead replica left. */
export const SWEEP_MS = 2_000;
/** An open journey is looked at this often even when nothing is heard of it. */
export const RECHECK_MS = 15_000;
const BACKOFF_MS_FIRST = 200;
const BACKOFF_MS_MAX = 10_000;

export interface Loop {
  /** Something happened to this journey: look soon. */
  readonly notice: (key: JourneyKey) => void;
  /** Takes no new work and waits for what is under way. */
  readonly stop: () => Promise<void>;
}

interface Slot {
  readonly key: JourneyKey;
  dueMs: number;
  attempts: number;
  lastCommand: string;
  busy: boolean;
  /** Noticed while busy: look again as soon as this look ends. */
  again: boolean;
}

const nameOf = (key: JourneyKey): string => `${key.vm}\n${key.peer}`;
const backoffMs = (attempts: number): number => Math.min(BACKOFF_MS_MAX, BACKOFF_MS_FIRST * 2 ** Math.min(attempts - 1, 10));

/**
 * The one loop: what is owed is derived from the ledgers, performed, and recorded; the next look derives it anew. Nothing
 * is remembered here but back-off, so a crash loses nothing.
 */
export function startLoop(ports: LoopPorts): Loop {
  const slots = new Map<string, Slot>();
  const stopping = new AbortController();
  const underWay = new Set<Promise<void>>();
  let timer: NodeJS.Timeout | undefined;

  const slotOf = (key: JourneyKey): Slot => {
    const held = slots.get(nameOf(key));
    if (held !== undefined) return held;
    const fresh: Slot = { key, dueMs: 0, attempts: 0, lastCommand: '', busy: false, again: false };
    slots.set(nameOf(key), fresh);
    return fresh;
  };

  const schedule = (): void => {
    clearTimeout(timer);
    if (stopping.signal.aborted) return;
    const now = ports.nowMs();
    for (const slot of slots.values()) {
      if (underWay.size >= JOURNEYS_AT_ONCE) break;
      if (!slot.busy && slot.dueMs <= now) start(slot);
    }
    if (underWay.size >= JOURNEYS_AT_ONCE) return;
    const waits = [...slots.values()].filter((slot) => !slot.busy).map((slot) => slot.dueMs - now);
    if (waits.length > 0) timer = setTimeout(schedule, Math.max(1, Math.min(...waits, SWEEP_MS)));
  };

  const start = (slot: Slot): void => {
    slot.busy = true;
    const work = look(slot).finally(() => {
      underWay.delete(work);
      slot.busy = false;
      if (slot.again) {
        slot.again = false;
        slot.dueMs = 0;
      }
      if (slot.dueMs === Number.POSITIVE_INFINITY) slots.delete(nameOf(slot.key));
      schedule();
    });
    underWay.add(work);
  };

  const look = async (slot: Slot): Promise<void> => {
    try {
      const lease = await ports.lease(slot.key);
      if (lease === undefined) {
        slot.dueMs = ports.nowMs() + SWEEP_MS;
        return;
      }
      try {
        slot.dueMs = await workOn(slot, AbortSignal.any([lease.signal, stopping.signal]));
      } finally {
        await lease.release();
      }
    } catch (cause) {
      slot.attempts += 1;
      slot.dueMs = ports.nowMs() + backoffMs(slot.attempts);
      ports.log.warn(
        { vm: slot.key.vm, peer: slot.key.peer, attempt: slot.attempts, err: cause },
        'journey could not be looked at',
      );
    }
  };

  /** Performs what is owed until nothing is, or something has to be waited for. Returns when to look again. */
  const workOn = async (slot: Slot, signal: AbortSignal): Promise<number> => {
    for (;;) {
      if (signal.aborted) return ports.nowMs() + SWEEP_MS;
      const { commands, open, wakeAtMs } = await ports.owed(slot.key);
      const command = commands[0];
      if (command === undefined)
        return open ? Math.min(wakeAtMs ?? Number.POSITIVE_INFINITY, ports.nowMs() + RECHECK_MS) : Number.POSITIVE_INFINITY;
      const name = `${command.type}/${command.migration}`;
      slot.attempts = slot.lastCommand === name ? slot.attempts + 1 : 1;
      slot.lastCommand = name;
      const outcome = await attempt(slot, command, signal);
      if (outcome.kind === 'recorded') continue;
      if (outcome.kind === 'running') {
        slot.attempts = 0;
        return ports.nowMs() + outcome.afterMs;
      }
      return ports.nowMs() + backoffMs(slot.attempts);
    }
  };

  const attempt = async (slot: Slot, command: Command, signal: AbortSignal): Promise<Outcome> => {
    const fields = {
      vm: slot.key.vm,
      peer: slot.key.peer,
      migration: command.migration,
      command: command.type,
      attempt: slot.attempts,
    };
    const done = ports.metrics.commandSeconds.startTimer({ command: command.type });
    let outcome: Outcome;
    try {
      outcome = await ports.perform(command, slot.key, slot.attempts, signal);
    } catch (cause) {
      ports.log.warn({ ...fields, err: cause }, 'command threw');
      outcome = { kind: 'failed', code: 'UNEXPECTED', text: cause instanceof Error ? cause.message : String(cause) };
    }
    done();
    ports.metrics.commands.inc({ command: command.type, outcome: outcome.kind });
    if (outcome.kind === 'failed')
      ports.log.warn({ ...fields, code: outcome.code, text: outcome.text }, 'command failed, will be tried again');
    else ports.log.debug({ ...fields, outcome: outcome.kind }, 'command');
    return outcome;
  };

  const notice = (key: JourneyKey): void => {
    const slot = slotOf(key);
    if (slot.busy) slot.again = true;
    else slot.dueMs = Math.min(slot.dueMs, ports.nowMs());
    schedule();
  };

  const sweep = async (): Promise<void> => {
    try {
      for (const key of await ports.open()) {
        if (!slots.has(nameOf(key))) notice(key);
      }
    } catch (cause) {
      ports.log.warn({ err: cause }, 'sweep failed');
    }
  };
  const sweeper = setInterval(() => void sweep(), SWEEP_MS);
  void sweep();

  return {
    notice,
    stop: async () => {
      stopping.abort();
      clearTimeout(timer);
      clearInterval(sweeper);
      await Promise.allSettled(underWay);
    },
  };
}
