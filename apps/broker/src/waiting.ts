import { setTimeout as sleep } from 'node:timers/promises';
import { type Check, type Log, StartRefused } from '@carnet/runtime';
import { isRetryable, StoreError } from '@carnet/store';

/** A start that takes longer than this says what it waits for, ms: sooner would be noise at every start. */
const TELL_AFTER_MS = 1_000;
/** First and longest pause between two attempts, ms: a database that comes back is found within some seconds. */
const AGAIN_MS_FIRST = 200;
const AGAIN_MS_MAX = 3_000;

/**
 * What a start waits for. A part that is away now may be back in a moment, and exiting would not bring it back: whoever watches over
 * this process sees in the log and in `/readyz` what is missing, and ends it with a signal if that is wanted.
 */
export interface Waiting {
  /** Asked by `/readyz` until the start is over. */
  readonly checks: () => readonly Check[];
  /** Attempts until it succeeds, for any time; what would fail for ever (a wrong password, no such database) throws at once. */
  readonly for: <T>(what: string, attempt: () => Promise<T>) => Promise<T>;
}

export function createWaiting(log: Pick<Log, 'info' | 'warn'>): Waiting {
  let text = 'the broker is still starting';
  return {
    checks: () => [
      {
        name: 'start',
        probe: () => {
          throw new Error(text);
        },
      },
    ],
    for: async (what, attempt) => {
      text = `waits for the ${what}`;
      let told = false;
      const tell = (): void => {
        if (!told) log.warn({ waitsFor: what }, text);
        told = true;
      };
      const timer = setTimeout(tell, TELL_AFTER_MS);
      try {
        for (let pauseMs = AGAIN_MS_FIRST; ; pauseMs = Math.min(pauseMs * 2, AGAIN_MS_MAX)) {
          try {
            const value = await attempt();
            if (told) log.info({ waitedFor: what }, `the ${what} is there`);
            return value;
          } catch (cause) {
            if (cause instanceof StoreError && cause.code === 'STORE_REFUSED')
              throw new StartRefused(`${cause.message} (CARNET_DATABASE_URL, or database.url)`, { cause });
            if (cause instanceof StoreError && cause.code === 'SCHEMA_NEWER')
              throw new StartRefused(`${cause.code}: ${cause.message}`, { cause });
            if (!isRetryable(cause)) throw cause;
            text = `waits for the ${what}: ${cause instanceof Error ? cause.message : String(cause)}`;
            tell();
          }
          await sleep(pauseMs);
        }
      } finally {
        clearTimeout(timer);
        text = 'the broker is still starting';
      }
    },
  };
}
