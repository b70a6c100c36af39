import { describe, expect, it } from 'vitest';
import { backOff, bell, untilStopped } from './pace.ts';

const random = (n: number): Uint8Array => new Uint8Array(n);

describe('bell', () => {
  it('does not lose a ring before the wait, and wakes one that waits', async () => {
    const { ring, wait } = bell();
    const never = new AbortController().signal;
    ring();
    await wait(60_000, never);
    const waited = wait(60_000, never);
    ring();
    await waited;
  });

  it('ends with its time or its signal, whichever is first', async () => {
    const stop = new AbortController();
    await bell().wait(1, stop.signal);
    const waited = bell().wait(60_000, stop.signal);
    stop.abort();
    await waited;
    await bell().wait(60_000, stop.signal);
  });
});

describe('untilStopped', () => {
  it('repeats after failures, counts those in a row, and stops with the signal', async () => {
    const stop = new AbortController();
    const attempts: number[] = [];
    let rounds = 0;
    await untilStopped({ signal: stop.signal, random, failed: (_, attempt) => void attempts.push(attempt) }, async () => {
      rounds += 1;
      if (rounds === 5) stop.abort();
      else if (rounds !== 3) throw new Error('down');
    });
    expect([rounds, attempts]).toEqual([5, [1, 2, 1]]);
  });

  it('backs off for at least half of the doubled time', async () => {
    const t0 = performance.now();
    await backOff(2, random, new AbortController().signal);
    expect(performance.now() - t0).toBeGreaterThan(45);
  });
});
