import { setTimeout as sleep } from 'node:timers/promises';
import { DevError } from './error.ts';
import { POLL_MS, POLL_MS_MAX, READY_MS_MAX } from './limits.ts';

/**
 * Looks again and again until there is something to see, and returns it. For tests of real parts, whose speed is
 * not ours to set: a fixed sleep is either too long or, on a busy machine, too short. Less often the longer it takes: who asks every 20 ms for
 * seconds takes half a core from those that it waits for.
 * @throws DevError NOT_READY after `msMax`
 */
export async function eventually<T>(
  what: string,
  look: () => T | undefined | Promise<T | undefined>,
  msMax: number = READY_MS_MAX,
): Promise<T> {
  const startedMs = performance.now();
  for (let pauseMs = POLL_MS; ; pauseMs = Math.min(POLL_MS_MAX, pauseMs * POLL_GROWTH)) {
    const seen = await look();
    if (seen !== undefined) return seen;
    if (performance.now() - startedMs > msMax) throw new DevError('NOT_READY', `${what}: not seen within ${msMax} ms`);
    await sleep(pauseMs);
  }
}

const POLL_GROWTH = 1.2;
