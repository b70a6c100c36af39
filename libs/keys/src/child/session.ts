import { CODES } from '../codes.ts';
import { CHILD_IDLE_MS_MAX, CHILD_SERVES_MS_MAX, IN_FLIGHT_MAX } from '../limits.ts';
import { KeysError } from '../result.ts';
import { type Frame, readFrames } from './frames.ts';
import type { KeyChild } from './spawn.ts';

/** A request that waits for its answer. Its frame holds a secret, and is zeroed once written. */
export type Waiting = {
  readonly frame: Buffer;
  readonly resolve: (reply: Frame) => void;
  readonly reject: (error: KeysError) => void;
};

/** One child at work, from its first request to its exit. */
export type Session = {
  /** How many more requests it takes now; 0 once its time is over. */
  readonly places: () => number;
  readonly take: (waiting: Waiting) => void;
  /** The child is gone. Never rejects. */
  readonly ended: Promise<void>;
};

export type SessionTimes = {
  /** Without an answer for this long while one is owed, the child is killed. */
  readonly timeoutMs: number;
  readonly idleMs: number;
  readonly servesMs: number;
};
export const SESSION_TIMES: Omit<SessionTimes, 'timeoutMs'> = { idleMs: CHILD_IDLE_MS_MAX, servesMs: CHILD_SERVES_MS_MAX };

/**
 * Writes requests as they come and hands out the answers in order. Once nothing has come for a moment, or its time is over, the child's input
 * is closed, and the child ends with it: what it held in the clear ends then. Whatever it still owed has failed.
 *
 * @param freed called after each answer: there is a place again
 */
export function startSession(child: KeyChild, times: SessionTimes, freed: () => void): Session {
  const owed: Waiting[] = [];
  const failure: { code: 'CHILD_FAILED' | 'CHILD_TIMEOUT' | 'CHILD_PROTOCOL' } = { code: 'CHILD_FAILED' };
  let accepting = true;
  let pending: NodeJS.Timeout | undefined;

  const kill = (): void => {
    failure.code = 'CHILD_TIMEOUT';
    child.kill('SIGKILL');
  };
  const close = (): void => {
    accepting = false;
    if (owed.length === 0) watch();
  };
  const over = setTimeout(close, times.servesMs);
  /** One clock: for the answer that is owed, or for the request that may still come. */
  const watch = (): void => {
    clearTimeout(pending);
    if (owed.length > 0) pending = setTimeout(kill, times.timeoutMs);
    else if (accepting) pending = setTimeout(close, times.idleMs);
    // Its end too must come in time.
    else {
      child.stdin.end();
      pending = setTimeout(kill, times.timeoutMs);
    }
  };

  const run = async (): Promise<void> => {
    try {
      for await (const frame of readFrames(child.stdout)) {
        owed.shift()?.resolve(frame);
        watch();
        freed();
      }
    } catch (error) {
      if (error instanceof KeysError && !error.retryable) failure.code = 'CHILD_PROTOCOL';
    } finally {
      accepting = false;
      clearTimeout(over);
      clearTimeout(pending);
      child.kill('SIGKILL');
      const { code } = failure;
      for (const { frame, reject } of owed.splice(0)) {
        frame.fill(0);
        reject(new KeysError(code, CODES[code].text, { retryable: code !== 'CHILD_PROTOCOL' }));
      }
    }
  };

  return {
    places: () => (accepting ? IN_FLIGHT_MAX - owed.length : 0),
    take: (waiting) => {
      owed.push(waiting);
      child.stdin.write(waiting.frame, () => waiting.frame.fill(0));
      if (owed.length === 1) watch();
    },
    ended: run(),
  };
}
