import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { BACKOFF_MS_FIRST, JOURNEYS_AT_ONCE, RECHECK_MS, SWEEP_MS } from './limits.ts';
import { type Loop, type LoopPorts, startLoop } from './loop.ts';
import { FAILED, fakeWorld, JOURNEY, journey, RECORDED, SETTLED, WAITING, WORK } from './testing/world.ts';

let loop: Loop | undefined;
beforeEach(() => void vi.useFakeTimers());
afterEach(async () => {
  const stopped = loop?.stop();
  await pass(20_000);
  await stopped;
  loop = undefined;
  vi.useRealTimers();
});
const start = (world: ReturnType<typeof fakeWorld>): Loop => {
  loop = startLoop(world.ports);
  return loop;
};
const pass = (ms: number) => vi.advanceTimersByTimeAsync(ms);

describe('the loop', () => {
  it('performs what is owed until nothing is, and then lets go of it', async () => {
    const owed = vi.fn<LoopPorts['owed']>().mockResolvedValueOnce(WORK).mockResolvedValueOnce(WORK).mockResolvedValue(SETTLED);
    const perform = vi.fn<LoopPorts['perform']>().mockResolvedValue(RECORDED);
    const world = fakeWorld({ owed, perform });
    start(world).notice(JOURNEY);
    await pass(RECHECK_MS * 2);
    expect([perform.mock.calls.length, owed.mock.calls.length, world.leased.size]).toEqual([2, 3, 0]);
  });

  it('finds by sweeping what no notice told of', async () => {
    const owed = vi.fn<LoopPorts['owed']>().mockResolvedValue(WAITING);
    start(fakeWorld({ owed, open: async () => [JOURNEY] }));
    await pass(1);
    expect(owed).toHaveBeenCalledTimes(1);
  });

  it('an open journey is looked at again though nothing is heard of it, and at its deadline', async () => {
    const owed = vi
      .fn<LoopPorts['owed']>()
      .mockResolvedValueOnce({ ...WAITING, wakeAtMs: Date.now() + 5_000 })
      .mockResolvedValue(WAITING);
    start(fakeWorld({ owed })).notice(JOURNEY);
    await pass(4_900);
    expect(owed).toHaveBeenCalledTimes(1);
    await pass(200);
    expect(owed).toHaveBeenCalledTimes(2);
    await pass(RECHECK_MS + 10);
    expect(owed).toHaveBeenCalledTimes(3);
  });

  it('goes on in its own pace when somebody sets the date back', async () => {
    const perform = vi.fn<LoopPorts['perform']>().mockResolvedValue(FAILED);
    start(fakeWorld({ owed: async () => WORK, perform })).notice(JOURNEY);
    await pass(1);
    vi.setSystemTime(Date.now() - 3_600_000);
    await pass(BACKOFF_MS_FIRST + 1);
    expect(perform).toHaveBeenCalledTimes(2);
  });

  it.each([0, Number.NaN, Number.NEGATIVE_INFINITY])('a deadline of %s is no spin', async (wakeAtMs) => {
    const owed = vi.fn<LoopPorts['owed']>().mockResolvedValue({ ...WAITING, wakeAtMs });
    start(fakeWorld({ owed })).notice(JOURNEY);
    await pass(1_000);
    expect(owed.mock.calls.length).toBeLessThan(8);
  });

  it('of more journeys than places, each has its first turn before any has its second', async () => {
    const turns: string[] = [];
    const owed: LoopPorts['owed'] = async ({ vm }) => (turns.filter((turn) => turn === vm).length < 2 ? WORK : WAITING);
    const perform: LoopPorts['perform'] = async (_, { vm }) => {
      turns.push(vm);
      await new Promise((resolve) => setTimeout(resolve, 10));
      return RECORDED;
    };
    const noticed = start(fakeWorld({ owed, perform }));
    const count = JOURNEYS_AT_ONCE * 2;
    for (let n = 0; n < count; n++) noticed.notice(journey(n));
    await pass(200);
    expect(new Set(turns.slice(0, count)).size).toBe(count);
    expect(turns).toHaveLength(count * 2);
  });

  it('one whose VM stands still does all that it owes before the next, though others wait', async () => {
    const turns: string[] = [];
    const still = journey(JOURNEYS_AT_ONCE);
    const owed: LoopPorts['owed'] = async ({ vm }) => ({
      ...(turns.filter((turn) => turn === vm).length < 3 ? WORK : WAITING),
      urgent: vm === still.vm,
    });
    const perform: LoopPorts['perform'] = async (_, { vm }) => {
      turns.push(vm);
      await new Promise((resolve) => setTimeout(resolve, 10));
      return RECORDED;
    };
    const noticed = start(fakeWorld({ owed, perform }));
    const all = Array.from({ length: JOURNEYS_AT_ONCE * 3 }, (_, n) => journey(n));
    for (const one of all) noticed.notice(one);
    await pass(200);
    const ends = all.filter(({ vm }) => vm !== still.vm).map(({ vm }) => turns.lastIndexOf(vm));
    expect(turns).toHaveLength(all.length * 3);
    expect(turns.lastIndexOf(still.vm)).toBeLessThan(Math.min(...ends));
  });

  it('a failing command backs off, and a storm of notices cannot undo that', async () => {
    const perform = vi.fn<LoopPorts['perform']>().mockResolvedValue(FAILED);
    const noticed = start(fakeWorld({ owed: async () => WORK, perform }));
    noticed.notice(JOURNEY);
    await pass(10_000);
    const quiet = perform.mock.calls.length;
    expect(quiet).toBeLessThan(9);
    for (let i = 0; i < 1_000; i++) {
      noticed.notice(JOURNEY);
      await pass(1);
    }
    expect(perform.mock.calls.length - quiet).toBeLessThanOrEqual(1_000 / BACKOFF_MS_FIRST + 1);
    expect(perform.mock.calls.at(-1)?.[2]).toBe(perform.mock.calls.length);
  });

  it('what throws is a failed attempt, in the log and not the end of the process', async () => {
    const world = fakeWorld({ owed: async () => WORK, perform: async () => Promise.reject(new Error('bug')) });
    start(world).notice(JOURNEY);
    await pass(10);
    expect(world.lines.join()).toContain('"code":"UNEXPECTED"');
    const broken = fakeWorld({
      owed: async () => Promise.reject(new Error('no database')),
      open: async () => Promise.reject(new Error('none')),
    });
    await loop?.stop();
    start(broken).notice(JOURNEY);
    await pass(SWEEP_MS * 3);
    expect(broken.lines.join()).toContain('journey could not be looked at');
    expect(broken.lines.join()).toContain('sweep failed');
    expect(broken.leased.size).toBe(0);
  });

  it('one journey is worked on once at a time, and a notice meanwhile is not lost', async () => {
    let [atWork, most] = [0, 0];
    const perform = vi.fn<LoopPorts['perform']>(async () => {
      most = Math.max(most, ++atWork);
      await new Promise((resolve) => setTimeout(resolve, 50));
      atWork -= 1;
      return RECORDED;
    });
    const owed = vi.fn<LoopPorts['owed']>().mockResolvedValueOnce(WORK).mockResolvedValue(SETTLED);
    const noticed = start(fakeWorld({ owed, perform }));
    noticed.notice(JOURNEY);
    await pass(10);
    for (let i = 0; i < 100; i++) noticed.notice(JOURNEY);
    await pass(100);
    expect([most, owed.mock.calls.length]).toEqual([1, 3]);
  });

  it('hung hosts do not stop the others: nobody waits behind more than the places that hang', async () => {
    const done = new Set<string>();
    const perform = vi.fn<LoopPorts['perform']>(async (_, { vm }) => {
      if (Number(vm.slice(3)) < JOURNEYS_AT_ONCE * 2) await new Promise((resolve) => setTimeout(resolve, 8_000));
      else done.add(vm);
      return FAILED;
    });
    const noticed = start(fakeWorld({ owed: async () => WORK, perform }));
    for (let i = 0; i < JOURNEYS_AT_ONCE * 2 + 5; i++) noticed.notice(journey(i));
    await pass(16_100);
    expect(done.size).toBe(5);
  });

  it('what another replica holds is left to it, and asked for again', async () => {
    const owed = vi.fn<LoopPorts['owed']>().mockResolvedValue(SETTLED);
    let free = false;
    const lease = async () => (free ? { signal: new AbortController().signal, release: async () => undefined } : undefined);
    start(fakeWorld({ owed, lease })).notice(JOURNEY);
    await pass(SWEEP_MS + 10);
    expect(owed).not.toHaveBeenCalled();
    free = true;
    await pass(SWEEP_MS + 10);
    expect(owed).toHaveBeenCalledTimes(1);
  });

  it('a lost lease ends the work after the command that was under way', async () => {
    const lost = new AbortController();
    const perform = vi.fn<LoopPorts['perform']>(async () => {
      lost.abort();
      return RECORDED;
    });
    const lease = async () => ({ signal: lost.signal, release: async () => undefined });
    start(fakeWorld({ owed: async () => WORK, perform, lease })).notice(JOURNEY);
    await pass(100);
    expect(perform).toHaveBeenCalledTimes(1);
  });

  it('stopping waits for what is under way, takes nothing new and leaves no timer', async () => {
    let finish = (): void => undefined;
    const perform = vi.fn<LoopPorts['perform']>(
      () => new Promise<typeof RECORDED>((resolve) => (finish = () => resolve(RECORDED))),
    );
    const world = fakeWorld({ owed: async () => WORK, perform });
    const stopped = start(world);
    stopped.notice(JOURNEY);
    await pass(1);
    let isDone = false;
    const stop = stopped.stop().then(() => (isDone = true));
    stopped.notice(journey(2));
    await pass(SWEEP_MS * 2);
    expect([isDone, perform.mock.calls.length]).toEqual([false, 1]);
    finish();
    await stop;
    expect([vi.getTimerCount(), world.leased.size, perform.mock.calls.length]).toEqual([0, 0, 1]);
  });
});
