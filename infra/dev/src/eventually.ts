import { setTimeout as sleep } from 'node:timers/promises';
import { DevError } from './error.ts';
import { POLL_MS, READY_MS_MAX } from './limits.ts';

/**
 * Looks again and again until there is something to see, and returns it. For tests of real parts, whose speed is
 * not ours to set: a fixed sleep is either too long or, on a busy machine, too short.
 * @throws DevError NOT_READY after `msMax`
 */
export async function eventually<T>(
  what: string,
  look: () => T | undefined | Promise<T | undefined>,
  msMax: number = READY_MS_MAX,
): Promise<T> {
  const startedMs = performance.now();
  for (;;) {
    const seen = await look();
    if (seen !== undefined) return seen;
    if (performance.now() - startedMs > msMax) throw new DevError('NOT_READY', `${what}: not seen within ${msMax} ms`);
    await sleep(POLL_MS);
  }
}
