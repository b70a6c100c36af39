import { setTimeout as sleep } from 'node:timers/promises';
import { BACKOFF_MS_FIRST, BACKOFF_MS_MAX } from '../limits.ts';
import type { Clock, RandomBytes } from '../ports.ts';

/** Only ever grows. Measured by the date, whatever is due would wait as long as somebody set the machine's clock back. */
export const pacing: Clock = { nowMs: () => performance.now() };

/** Waits after the `attempt`th failure in a row (from 1): doubling, drawn between half and whole, so that peers do not return in step. */
export async function backOff(attempt: number, random: RandomBytes, signal: AbortSignal): Promise<void> {
  const whole = Math.min(BACKOFF_MS_MAX, BACKOFF_MS_FIRST * 2 ** Math.min(attempt - 1, 16));
  const [drawn = 0] = random(1);
  await pause(whole / 2 + (whole / 2) * (drawn / 255), signal);
}

/** Ends when the work does, and after `ms` at the latest; the work goes on. */
export const atMost = (ms: number, work: Promise<unknown>): Promise<unknown> =>
  Promise.race([work, sleep(ms, undefined, { ref: false })]);

/** Waits, or less if the signal fires; then the caller's loop looks at the signal. */
export async function pause(ms: number, signal: AbortSignal): Promise<void> {
  await sleep(ms, undefined, { signal, ref: false }).catch(() => undefined);
}

/** One waiter that others wake; a wake before the wait is not lost. */
export type Bell = { readonly ring: () => void; readonly wait: (msMax: number, signal: AbortSignal) => Promise<void> };

export function bell(): Bell {
  let rung = false;
  let wake: (() => void) | undefined;
  return {
    ring: () => {
      rung = true;
      wake?.();
    },
    wait: (msMax, signal) =>
      new Promise((resolve) => {
        const over = (): void => {
          clearTimeout(timer);
          signal.removeEventListener('abort', over);
          wake = undefined;
          rung = false;
          resolve();
        };
        const timer = setTimeout(over, msMax);
        wake = over;
        signal.addEventListener('abort', over, { once: true });
        if (rung || signal.aborted) over();
      }),
  };
}

/** Runs `round` until the signal fires; after a failure with back-off. `failed` says what went wrong, once per failure. */
export async function untilStopped(
  ports: {
    readonly signal: AbortSignal;
    readonly random: RandomBytes;
    readonly failed: (cause: unknown, attempt: number) => void;
  },
  round: () => Promise<void>,
): Promise<void> {
  let failures = 0;
  while (!ports.signal.aborted) {
    try {
      await round();
      failures = 0;
    } catch (cause) {
      if (ports.signal.aborted) return;
      failures += 1;
      ports.failed(cause, failures);
      await backOff(failures, ports.random, ports.signal);
    }
  }
}
