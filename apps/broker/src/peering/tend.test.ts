import { afterEach, beforeEach, expect, it, vi } from 'vitest';
import { LOOK_MS } from './limits.ts';
import { tendPeerings } from './tend.ts';

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

it('looks once more, and not a hundred times, after a look that took long; a stop waits for none that has not begun', async () => {
  const looks: (() => void)[] = [];
  const peerings = () => new Promise<readonly []>((resolve) => looks.push(() => resolve([])));
  const tending = tendPeerings({
    peering: { rows: { peerings } },
    invited: { set: () => undefined },
    log: { warn: () => undefined },
  } as never);
  await vi.advanceTimersByTimeAsync(100 * LOOK_MS);
  expect(looks.length).toBe(1);
  // Each look reads the rows twice: whom to ask, and whom to attach.
  looks[0]?.();
  await vi.advanceTimersByTimeAsync(0);
  looks[1]?.();
  await vi.advanceTimersByTimeAsync(0);
  expect(looks.length).toBe(3);
  tending.nudge();
  const stopped = tending.stop();
  looks[2]?.();
  await vi.advanceTimersByTimeAsync(0);
  looks[3]?.();
  await stopped;
  expect(looks.length).toBe(4);
});
