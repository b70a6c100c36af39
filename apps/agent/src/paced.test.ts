import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { paced } from './paced.ts';

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

const counted = (fails: 'fails' | 'works' = 'works') => {
  let times = 0;
  const pace = paced(500, async () => {
    times += 1;
    if (fails === 'fails') throw new Error('no');
  });
  return { ...pace, times: () => times };
};

test('the first is answered at once; a flood, twice a second; the last of it is not forgotten', async () => {
  const hello = counted();
  hello.ask();
  expect(hello.times()).toBe(1);
  for (let ms = 0; ms < 2_000; ms += 10) {
    hello.ask();
    await vi.advanceTimersByTimeAsync(10);
  }
  expect(hello.times()).toBe(5);
  await vi.advanceTimersByTimeAsync(5_000);
  expect(hello.times()).toBeLessThanOrEqual(6);
  hello.ask();
  expect(hello.times()).toBeGreaterThanOrEqual(6);
});

test('work that fails is done again when asked; after a stop nothing is', async () => {
  const hello = counted('fails');
  hello.ask();
  hello.ask();
  await vi.advanceTimersByTimeAsync(501);
  expect(hello.times()).toBe(2);
  hello.ask();
  hello.stop();
  await vi.advanceTimersByTimeAsync(5_000);
  hello.ask();
  expect(hello.times()).toBe(2);
});

test('work that takes long takes a tenth of the time', async () => {
  let times = 0;
  const slow = paced(500, async () => {
    times += 1;
    await new Promise((resolve) => setTimeout(resolve, 300));
  });
  for (let ms = 0; ms < 5_900; ms += 10) {
    slow.ask();
    await vi.advanceTimersByTimeAsync(10);
  }
  expect(times).toBe(2);
  slow.stop();
});
