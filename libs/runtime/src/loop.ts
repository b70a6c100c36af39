import type { Command } from '@carnet/saga';
import { type Agenda, createAgenda, FORGET, type JourneyKey, type Next, type Slot } from './agenda.ts';
import { BACKOFF_MS_FIRST, BACKOFF_MS_MAX, JOURNEYS_AT_ONCE, RECHECK_MS, SWEEP_MS, WAKE_MS_MIN } from './limits.ts';
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

export interface Owed {
  readonly commands: readonly Command[];
  /** False once nothing can be owed any more: the journey is forgotten until something happens. */
  readonly open: boolean;
  /** A VM stands still until this goes on: it comes before the peer's other journeys. */
  readonly urgent: boolean;
  readonly wakeAtMs: number | undefined;
}

/** What answers a peer that asks for something new. */
const isAnswer = ({ type }: Command): boolean => type === 'AnswerIntent';

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
  /** The date, for deadlines only. */
  readonly nowMs: () => number;
  /** Only ever grows: pauses are measured by it. A machine's date may be set back, and what waits for a date would wait as long again. */
  readonly monotonicMs: () => number;
  readonly log: Log;
  readonly metrics: Pick<Metrics, 'commands' | 'commandSeconds'>;
}

export interface Loop {
  /** Something happened to this journey: look soon. `urgent`: as it seems, a VM stands still until it goes on. */
  readonly notice: (key: JourneyKey, urgent?: boolean) => void;
  /** Journeys with this peer in which nothing is begun: how far we are behind with what it asks. */
  readonly unanswered: (peer: string) => number;
  /** Takes no new work and waits for what is under way. */
  readonly stop: () => Promise<void>;
}

const backoffMs = (attempts: number): number => Math.min(BACKOFF_MS_MAX, BACKOFF_MS_FIRST * 2 ** Math.min(attempts - 1, 10));

/**
 * The one loop: what is owed is derived from the ledgers, performed, and recorded; the next look derives it anew. Nothing
 * is remembered here but back-off, so a crash loses nothing.
 */
export function startLoop(ports: LoopPorts): Loop {
  const agenda = createAgenda(ports.monotonicMs);
  const stopping = new AbortController();
  const underWay = new Set<Promise<void>>();
  let timer: NodeJS.Timeout | undefined;

  const schedule = (): void => {
    clearTimeout(timer);
    while (!stopping.signal.aborted && underWay.size < JOURNEYS_AT_ONCE) {
      const slot = agenda.takeDue();
      if (slot === undefined) break;
      start(slot);
    }
    // With no place free, the next look that ends calls again.
    const waitMs = agenda.waitMs();
    if (stopping.signal.aborted || underWay.size >= JOURNEYS_AT_ONCE || waitMs === undefined) return;
    timer = setTimeout(schedule, Math.max(1, Math.min(waitMs, SWEEP_MS)));
  };

  /** Another is due and finds no place. */
  const isCrowded = (): boolean => underWay.size >= JOURNEYS_AT_ONCE && agenda.waitMs() === 0;

  const start = (slot: Slot): void => {
    const work = look({ ...ports, isCrowded, begin: agenda.begin, works: agenda.works }, slot, stopping.signal).then((next) => {
      underWay.delete(work);
      agenda.finish(slot, next);
      schedule();
    });
    underWay.add(work);
  };

  const notice = (key: JourneyKey, urgent = false): void => {
    if (stopping.signal.aborted) return;
    agenda.notice(key, urgent);
    schedule();
  };

  let sweeping = false;
  const sweep = async (): Promise<void> => {
    // A slow database must not pile up sweeps.
    if (sweeping) return;
    sweeping = true;
    try {
      for (const key of await ports.open()) if (!agenda.has(key)) notice(key);
    } catch (cause) {
      ports.log.warn({ err: cause }, 'sweep failed');
    } finally {
      sweeping = false;
    }
  };
  const sweeper = setInterval(() => void sweep(), SWEEP_MS);
  void sweep();

  return {
    notice,
    unanswered: agenda.freshOf,
    stop: async () => {
      stopping.abort();
      clearTimeout(timer);
      clearInterval(sweeper);
      await Promise.all(underWay);
    },
  };
}

type LookPorts = LoopPorts & { readonly isCrowded: () => boolean } & Pick<Agenda, 'begin' | 'works'>;

/** Looks at one journey under its lease. Whatever goes wrong is a later look, never a rejection. */
async function look(ports: LookPorts, slot: Slot, stopping: AbortSignal): Promise<Next> {
  try {
    const lease = await ports.lease(slot.key);
    if (lease === undefined) return { dueMs: ports.monotonicMs() + SWEEP_MS };
    try {
      return await workOn(ports, slot, AbortSignal.any([lease.signal, stopping]));
    } finally {
      await lease.release();
    }
  } catch (cause) {
    slot.attempts += 1;
    ports.log.warn({ ...slot.key, attempt: slot.attempts, err: cause }, 'journey could not be looked at');
    return afterFailure(ports, slot);
  }
}

const afterFailure = ({ monotonicMs }: LoopPorts, { attempts }: Slot): Next => ({
  dueMs: monotonicMs() + backoffMs(attempts),
  restUntilMs: monotonicMs() + BACKOFF_MS_FIRST,
});

/**
 * Performs what is owed until nothing is, something has to be waited for, or another waits for the place. A lost lease ends it between two commands; a
 * command that was under way may meet another replica's, which hosts and ledgers bear: each answers a repeat, or refuses it.
 */
async function workOn(ports: LookPorts, slot: Slot, signal: AbortSignal): Promise<Next> {
  for (;;) {
    if (signal.aborted) return { dueMs: ports.monotonicMs() + SWEEP_MS };
    const { commands, open, urgent, wakeAtMs } = await ports.owed(slot.key);
    const [command] = commands;
    if (command !== undefined) ports.works(slot);
    if (command === undefined ? open : !isAnswer(command)) ports.begin(slot, urgent ? 'urgent' : 'begun');
    if (command === undefined) return open ? { dueMs: ports.monotonicMs() + waitMs(ports.nowMs(), wakeAtMs) } : FORGET;
    const name = `${command.type}/${command.migration}`;
    slot.attempts = slot.lastCommand === name ? slot.attempts + 1 : 1;
    slot.lastCommand = name;
    const outcome = await attempt(ports, slot, command, signal);
    if (outcome.kind === 'failed') return afterFailure(ports, slot);
    if (outcome.kind === 'recorded') {
      if (!urgent && ports.isCrowded()) return { dueMs: ports.monotonicMs() };
      continue;
    }
    slot.attempts = 0;
    return { dueMs: ports.monotonicMs() + outcome.afterMs };
  }
}

/** A date that is no date (NaN) counts as none. */
const waitMs = (nowMs: number, wakeAtMs = Number.POSITIVE_INFINITY): number =>
  Number.isNaN(wakeAtMs) ? RECHECK_MS : Math.max(WAKE_MS_MIN, Math.min(wakeAtMs - nowMs, RECHECK_MS));

async function attempt(ports: LoopPorts, slot: Slot, command: Command, signal: AbortSignal): Promise<Outcome> {
  const { log, metrics } = ports;
  const fields = { ...slot.key, migration: command.migration, command: command.type, attempt: slot.attempts };
  const done = metrics.commandSeconds.startTimer({ command: command.type });
  let outcome: Outcome;
  try {
    outcome = await ports.perform(command, slot.key, slot.attempts, signal);
  } catch (cause) {
    log.warn({ ...fields, err: cause }, 'command threw');
    outcome = { kind: 'failed', code: 'UNEXPECTED', text: cause instanceof Error ? cause.message : String(cause) };
  }
  done();
  metrics.commands.inc({ command: command.type, outcome: outcome.kind });
  if (outcome.kind === 'failed')
    log.warn({ ...fields, code: outcome.code, text: outcome.text }, 'command failed, will be tried again');
  else log.debug({ ...fields, outcome: outcome.kind }, 'command');
  return outcome;
}
