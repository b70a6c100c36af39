import { AsyncLocalStorage } from 'node:async_hooks';
import { createHash } from 'node:crypto';
import { syncBuiltinESMExports } from 'node:module';
import promised from 'node:timers/promises';
import { createHeap } from '../../../libs/runtime/src/heap.ts';
import type { Random } from './random.ts';

/** One run of one process: all that it began ends with it, at whatever await it stands. */
export type Life = { readonly name: string; dead: boolean; skewMs: number; readonly onDeath: (() => void)[] };

/** What becomes of one call: done; refused before it did anything; done, and its caller told otherwise; done twice; never answered, not done or done. */
export type Fate = 'done' | 'not-done' | 'unreported' | 'twice' | 'never' | 'unanswered';

type Entry = {
  readonly dueMs: number;
  readonly order: number;
  readonly life: Life | undefined;
  readonly run: () => void;
  off: boolean;
};

export type Scheduler = ReturnType<typeof createScheduler>;

/** Real, before any of them is replaced. */
const realImmediate = setImmediate;
const realTick = process.nextTick;
const STEPS_A_TURN = 100;
const real = {
  setTimeout,
  clearTimeout,
  setInterval,
  clearInterval,
  now: Date.now,
  sinceStart: performance.now,
  either: AbortSignal.any,
};
const realSleep = promised.setTimeout;

/**
 * Node keeps a signal that follows others for as long as somebody listens to it. Here whole processes end while they listen, and each would keep its
 * history for ever.
 */
function eitherOf(signals: readonly AbortSignal[]): AbortSignal {
  const follower = new AbortController();
  for (const signal of signals) {
    const follow = (): void => follower.abort(signal.reason);
    if (signal.aborted) follow();
    else signal.addEventListener('abort', follow, { once: true });
  }
  return follower.signal;
}

/** Simulated time begins here. */
export const EPOCH_MS = Date.parse('2026-11-23T10:00:00.000Z');

export class Accident extends Error {
  override readonly name = 'Accident';
}

const lives = new AsyncLocalStorage<Life>();

/**
 * The one queue of a simulated world: every timer, message and call of a port stands in it, each with a time that the seed drew. Between two of its
 * entries all promises settle, so that one seed is one history.
 */
/** @param pace how much longer than on an idle machine everything takes */
export function createScheduler(random: Random, pace: number) {
  const queue = createHeap<Entry>((x, y) => x.dueMs - y.dueMs || x.order - y.order);
  const digest = createHash('sha256');
  const trace: string[] = [];
  let nowMs = 0;
  let order = 0;
  let steps = 0;
  let pending = 0;
  let chain: Promise<unknown> = Promise.resolve();

  const at = (dueMs: number, run: () => void, life?: Life): Entry => {
    order += 1;
    const entry = { dueMs, order, life, run, off: false };
    queue.push(entry);
    return entry;
  };
  const note = (text: string): void => {
    const line = `${String(nowMs).padStart(8)} ${text}`;
    digest.update(`${line}\n`);
    trace.push(line);
  };
  const within = <T>(life: Life, run: () => T): T => lives.run(life, run);

  /**
   * Promises settle while nothing else happens; what runs outside of this thread is waited for. A tick comes once no promise is left to settle, without
   * a turn of Node's own loop; that gets one now and then, for signals and messages of the process.
   */
  const settle = async (): Promise<void> => {
    const isTurn = steps % STEPS_A_TURN === 0;
    do await new Promise<void>((resolve) => void (pending > 0 || isTurn ? realImmediate(resolve) : realTick(resolve)));
    while (pending > 0);
  };

  return {
    at,
    note,
    within,
    nowMs: () => EPOCH_MS + nowMs,
    elapsedMs: () => nowMs,
    steps: () => steps,
    trace: () => trace,
    digest: () => digest.copy().digest('hex'),
    latency: (meanMs: number): number => Math.floor(-Math.log(1 - random.next()) * meanMs * pace),
    life: (name: string): Life => ({ name, dead: false, skewMs: 0, onDeath: [] }),
    kill: (life: Life): void => {
      if (life.dead) return;
      life.dead = true;
      for (const end of life.onDeath.splice(0)) end();
    },
    /** Work that leaves this thread (OpenSSL's): one after the other, and time stands still meanwhile. */
    outside: <T>(work: () => Promise<T>): Promise<T> => {
      pending += 1;
      const mine = chain.then(work).finally(() => {
        pending -= 1;
      });
      chain = mine.catch(() => undefined);
      return mine;
    },
    /** What a client gives up after `ms`: an error, whatever becomes of the call. */
    inTime: <T>(life: Life, ms: number, ask: () => Promise<T>): Promise<T> =>
      new Promise<T>((resolve, reject) => {
        const late = at(nowMs + ms, () => reject(new Accident('no answer in time')), life);
        ask()
          .then(resolve, reject)
          .finally(() => {
            late.off = true;
          });
      }),
    /** A call of a port: it happens after `delayMs`, unless its caller is dead by then, and ends as `fate` says. */
    point: <T>(life: Life, delayMs: number, fate: () => Fate, work: () => Promise<T>): Promise<T> =>
      new Promise<T>((resolve, reject) => {
        at(
          nowMs + delayMs,
          () => {
            const chosen = fate();
            if (chosen === 'never') return;
            if (chosen === 'not-done') return void reject(new Accident('not done'));
            const alive = (then: () => void) => (): void => {
              if (!life.dead) then();
            };
            const run = async (): Promise<T> => {
              if (chosen === 'twice') await work();
              return work();
            };
            const begun = within(life, run);
            if (chosen === 'unanswered') return void begun.catch(() => undefined);
            begun.then(
              (value) =>
                alive(() => (chosen === 'unreported' ? reject(new Accident('done, and not reported')) : resolve(value)))(),
              (cause: unknown) => alive(() => reject(cause))(),
            );
          },
          life,
        );
      }),
    settle,
    /** Takes the next entry; false when there is none before `untilMs`. */
    step: async (untilMs: number): Promise<boolean> => {
      for (let entry = queue.peek(); entry !== undefined && entry.dueMs <= untilMs; entry = queue.peek()) {
        queue.pop();
        if (entry.off || entry.life?.dead === true) continue;
        nowMs = Math.max(nowMs, entry.dueMs);
        steps += 1;
        const { life, run } = entry;
        if (life === undefined) run();
        else within(life, run);
        await settle();
        return true;
      }
      return false;
    },
    /** Replaces this thread's timers by those of the simulated world, until the answer is called. */
    takeTimers: (): (() => void) => {
      const timer = (entry: Entry): { entry: Entry; ref: () => undefined; unref: () => undefined; hasRef: () => false } => ({
        entry,
        ref: () => undefined,
        unref: () => undefined,
        hasRef: () => false,
      });
      const clear = (handle: unknown): void => {
        if (typeof handle === 'object' && handle !== null && 'entry' in handle) (handle.entry as Entry).off = true;
      };
      const later = (run: (...given: unknown[]) => void, ms = 1, ...given: unknown[]) =>
        timer(at(nowMs + Math.max(1, Math.ceil(ms)), () => run(...given), lives.getStore()));
      const every = (run: () => void, ms = 1) => {
        const life = lives.getStore();
        const fire = (): void => {
          handle.entry = at(nowMs + ms, fire, life);
          run();
        };
        const handle = timer(at(nowMs + ms, fire, life));
        return handle;
      };
      Object.assign(globalThis, {
        setTimeout: later,
        clearTimeout: clear,
        setInterval: every,
        clearInterval: clear,
      });
      Date.now = () => EPOCH_MS + nowMs;
      performance.now = () => nowMs;
      promised.setTimeout = <T>(ms?: number, value?: T, { signal }: { signal?: AbortSignal | undefined } = {}) =>
        new Promise<T>((resolve, reject) => {
          const stop = (): void => {
            clear(waiting);
            reject(signal?.reason);
          };
          const waiting = later(() => {
            signal?.removeEventListener('abort', stop);
            resolve(value as T);
          }, ms);
          if (signal?.aborted === true) stop();
          else signal?.addEventListener('abort', stop, { once: true });
        });
      syncBuiltinESMExports();
      AbortSignal.any = eitherOf;
      return () => {
        const { now, sinceStart, either, ...timers } = real;
        Object.assign(globalThis, timers);
        AbortSignal.any = either;
        Date.now = now;
        performance.now = sinceStart;
        promised.setTimeout = realSleep;
        syncBuiltinESMExports();
      };
    },
  };
}
