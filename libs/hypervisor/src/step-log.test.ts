import { timestamp } from '@carnet/events';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { failed, HostError } from './codes.ts';
import { commandId } from './command/scalars.ts';
import { memoryFiles } from './fake/memory-files.ts';
import { hostPaths } from './host-paths.ts';
import { STEP_LOG_BYTES_LARGE } from './limits.ts';
import { openStepLog, type StepRecord } from './step-log.ts';
import { BECAUSE, quickClock, VM } from './testing/drive.ts';

const paths = hostPaths({ stateDir: '/s', volumesDir: '/v', tmpfsDir: '/t', bootDir: '/b', importDir: '/i', vtpmDir: '/p' });
const id = commandId.parse('00000000-0000-4000-8000-000000000001');
const common = { v: 1, id, content: BECAUSE, time: quickClock.now() } as const;
const intent = (key: string, was: string): StepRecord => ({ ...common, record: 'intent', key, seen: { was } });
const outcome = (key: string): StepRecord => ({ ...common, record: 'outcome', key, result: { step: 'surrender' } });

const opened = async (files = memoryFiles({ tmpfs: [] })) => {
  const log = await openStepLog(files, paths, VM);
  if (!log.ok) throw new Error(log.setback.code);
  return { files, log: log.value };
};

describe('step log', () => {
  it('keeps the first intent and the first outcome of a step, over restarts', async () => {
    const { files, log } = await opened();
    await log.append(intent('quiesce@1', 'running'));
    await log.append(intent('quiesce@1', 'shutoff'));
    await log.append(outcome('surrender@1'));
    const again = await opened(files);
    for (const one of [log, again.log]) {
      expect(one.intent('quiesce@1')?.seen).toEqual({ was: 'running' });
      expect(one.outcome('surrender@1')?.result).toEqual({ step: 'surrender' });
      expect(one.outcome('quiesce@1')).toBeUndefined();
    }
  });

  it('of people’s commands it forgets what is old once it is large; of migrations nothing', async () => {
    const at = (minutes: number) => timestamp.parse(new Date(Date.parse(common.time) + minutes * 60_000).toISOString());
    const line = (record: StepRecord): string => `${JSON.stringify(record)}\n`;
    const old = Array.from({ length: 14_000 }, (_, n) => line(intent(`stopVm:${n}`, 'x'.repeat(100))));
    const files = memoryFiles({ tmpfs: [] });
    const whole = [line(intent('quiesce@1', 'running')), line(outcome('surrender@1')), ...old].join('');
    expect(whole.length).toBeGreaterThan(STEP_LOG_BYTES_LARGE);
    await files.write(paths.steps(VM), Buffer.from(whole));
    const { log } = await opened(files);
    await log.append({ ...intent('stopVm:new', 'running'), time: at(16) });
    await log.append({ ...intent('stopVm:last', 'running'), time: at(20) });
    expect((await files.size(paths.steps(VM))) ?? 0).toBeLessThan(4_096);
    for (const one of [log, (await opened(files)).log]) {
      expect(one.intent('stopVm:0')).toBeUndefined();
      expect(['stopVm:new', 'stopVm:last', 'quiesce@1'].map((key) => one.intent(key)?.seen)).toEqual(
        Array.from({ length: 3 }, () => ({ was: 'running' })),
      );
      expect(one.outcome('surrender@1')?.result).toEqual({ step: 'surrender' });
    }
  });

  it('a torn tail is cut off, wherever the power went away', async () => {
    const { files, log } = await opened();
    await log.append(intent('quiesce@1', 'running'));
    const sound = (await files.size(paths.steps(VM))) ?? 0;
    await log.append(outcome('surrender@1'));
    const whole = (await files.read(paths.steps(VM))) ?? Buffer.alloc(0);
    await fc.assert(
      fc.asyncProperty(fc.integer({ min: sound, max: whole.length - 1 }), async (cut) => {
        const torn = memoryFiles({ tmpfs: [] });
        await torn.write(paths.steps(VM), whole.subarray(0, cut));
        const again = await opened(torn);
        expect(again.log.intent('quiesce@1')).toBeDefined();
        expect(again.log.outcome('surrender@1')).toBeUndefined();
        await again.log.append(outcome('surrender@1'));
        expect((await opened(torn)).log.outcome('surrender@1')).toBeDefined();
      }),
      { numRuns: 50 },
    );
  });

  it.each([
    ['at the first record', 0, 7],
    ['at a later one', 1, 7],
    ['and nothing of it was taken', 1, 0],
    ['and all of it was taken, without a word', 1, Number.POSITIVE_INFINITY],
  ])('an append that a full disk cut off %s: what comes after it is there after a restart', async (_, earlier, taken) => {
    const disk = memoryFiles({ tmpfs: [] });
    let isFull = false;
    const { log } = await opened({
      ...disk,
      append: async (path, bytes) => {
        if (!isFull) return disk.append(path, bytes);
        if (taken > 0) await disk.append(path, bytes.subarray(0, taken));
        throw new HostError(failed('NO_ROOM', '(ENOSPC)'));
      },
    });
    for (let n = 0; n < earlier; n += 1) await log.append(intent(`seal@${n}`, 'running'));
    isFull = true;
    await expect(log.append(intent('quiesce@1', 'lost'))).rejects.toMatchObject({ setback: { code: 'NO_ROOM' } });
    expect(log.intent('quiesce@1')).toBeUndefined();
    await expect(log.append(intent('quiesce@1', 'lost, too'))).rejects.toThrow(HostError);
    isFull = false;
    await log.append(intent('quiesce@1', 'running'));
    await log.append(outcome('surrender@1'));
    const again = await opened(disk);
    expect(again.log.intent('quiesce@1')?.seen).toEqual({ was: 'running' });
    expect(again.log.outcome('surrender@1')).toBeDefined();
  });

  it('damage before the tail refuses the VM', async () => {
    const { files, log } = await opened();
    await log.append(intent('quiesce@1', 'running'));
    await log.append(outcome('surrender@1'));
    const bytes = (await files.read(paths.steps(VM))) ?? Buffer.alloc(0);
    bytes[5] = 0;
    await files.write(paths.steps(VM), bytes);
    expect(await openStepLog(files, paths, VM)).toMatchObject({ ok: false, setback: { code: 'STEP_LOG_DAMAGED' } });
  });
});
