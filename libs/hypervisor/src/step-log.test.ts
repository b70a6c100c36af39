import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { commandId } from './command/scalars.ts';
import { memoryFiles } from './fake/memory-files.ts';
import { hostPaths } from './host-paths.ts';
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
