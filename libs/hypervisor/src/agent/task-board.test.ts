import { setImmediate as tick } from 'node:timers/promises';
import { describe, expect, it } from 'vitest';
import { failed } from '../codes.ts';
import type { HostCommand } from '../command/command.ts';
import { LOOKS_AT_ONCE_MAX, TASKS_WAITING_MAX } from '../limits.ts';
import type { StepEnd } from '../steps/step.ts';
import { draft, ofEpoch } from '../testing/drive.ts';
import { type Task, taskBoard } from './task-board.ts';

const PLACES = 4;
const END = failed('TRANSFER_FAILED');
const BUSY = { status: 'refused', code: 'HOST_BUSY' };

/** A board whose steps go on until they are let go, or cut short. */
function held() {
  const at: HostCommand[] = [];
  const letGo: (() => void)[] = [];
  const board = taskBoard(PLACES, async (command, { signal }) => {
    at.push(command);
    await new Promise<void>((resolve) => {
      letGo.push(resolve);
      signal.addEventListener('abort', () => resolve());
    });
    return signal.aborted ? failed('STEP_ABORTED') : END;
  });
  const atWork = () => at.map(({ step }) => step);
  return { board, at, letGo, atWork };
}

const vmOf = (n: number) => ({ vm: `csp-a.example/33333333-3333-4333-8333-${String(n).padStart(12, '0')}` });
const COPY = {
  round: 0,
  dataPath: { address: '127.0.0.1', port: 40_001, serverName: 'fake.example' },
  peer: ['xxxx'],
  artifacts: [
    { artifact: '11111111-1111-4111-8111-111111111111', kind: 'disk', sizeBytes: 1, chunkBytes: 65_536, root: 'a'.repeat(64) },
  ],
};
const receiving = (n: number) => draft('b1', 'receive', COPY, { ...ofEpoch(1), ...vmOf(n) });
const observing = (n: number) => draft('b1', 'observe', { signs: 'console', withinSeconds: 5 }, { ...ofEpoch(1), ...vmOf(n) });
const looking = () => draft('b1', 'inspect', {});
const verifying = (name = 'tiny', more: object = {}) => draft('b1', 'verifyImage', { name }, more);
const isTask = (posted: Task | StepEnd): posted is Task => 'end' in posted;
const taken = (posted: Task | StepEnd): Task => {
  if (!isTask(posted)) throw new Error(`refused: ${posted.status}`);
  return posted;
};

/** As many steps as may wait; the first four have the places. */
async function full() {
  const rig = held();
  for (let n = 0; n < TASKS_WAITING_MAX; n += 1) taken(rig.board.post(receiving(n)));
  await tick();
  expect(rig.at.length).toBe(PLACES);
  return rig;
}

describe('a look', () => {
  it('takes no place and no room on the board, and has a bound of its own', async () => {
    const { board, at, letGo } = held();
    for (let n = 0; n < PLACES; n += 1) taken(board.post(receiving(n)));
    await tick();
    const looks = Array.from({ length: LOOKS_AT_ONCE_MAX }, () => taken(board.post(looking())));
    expect(at.length, 'at work beside what has the places').toBe(PLACES + LOOKS_AT_ONCE_MAX);
    expect(board.post(looking())).toMatchObject(BUSY);
    for (let n = PLACES; n < TASKS_WAITING_MAX; n += 1) taken(board.post(receiving(n)));
    letGo[PLACES]?.();
    expect(await looks[0]?.end).toEqual(END);
    expect(isTask(board.post(looking()))).toBe(true);
  });
});

describe('what is short', () => {
  it('does not wait for copies, however many have their places', async () => {
    const { board, at, letGo, atWork } = held();
    for (let n = 0; n < 2 * PLACES; n += 1) taken(board.post(receiving(n)));
    const stop = taken(board.post(draft('b1', 'stopVm', { graceSeconds: 0 }, vmOf(100))));
    await tick();
    expect([at.length, atWork().at(-1)]).toEqual([PLACES + 1, 'stopVm']);
    letGo[PLACES]?.();
    expect(await stop.end).toEqual(END);
  });

  it('cuts a seal short that nobody wants any more, and no other VM’s', async () => {
    const { board } = held();
    const sealing = (n: number) =>
      draft(
        'b1',
        'seal',
        { round: 0, chunkBytes: 65_536, artifacts: [{ artifact: '11111111-1111-4111-8111-111111111111', kind: 'disk' }] },
        { ...ofEpoch(1), ...vmOf(n) },
      );
    const [mine, other] = [taken(board.post(sealing(0))), taken(board.post(sealing(1)))];
    await tick();
    taken(
      board.post(
        draft(
          'b1',
          'resume',
          { proof: { kind: 'withdrawn', event: 'a'.repeat(64) }, secrets: [] },
          { ...ofEpoch(1), ...vmOf(0) },
        ),
      ),
    );
    expect(await mine.end).toMatchObject({ code: 'STEP_ABORTED' });
    expect(await Promise.race([other.end, tick('at work')])).toBe('at work');
  });
});

describe('what waits for a place', () => {
  const resuming = (n: number) =>
    draft('b1', 'resume', { proof: { kind: 'withdrawn', event: 'a'.repeat(64) }, secrets: [] }, { ...ofEpoch(1), ...vmOf(n) });

  it('is cut short there: whoever undoes it, or presses, waits for nobody’s copies', async () => {
    const { board, at, atWork } = held();
    for (let n = 0; n < PLACES; n += 1) taken(board.post(observing(n)));
    for (let n = 0; n < PLACES; n += 1) taken(board.post(receiving(100 + n)));
    const [copy, life] = [taken(board.post(receiving(200))), taken(board.post(observing(201)))];
    await tick();
    expect(at.length).toBe(2 * PLACES);
    taken(board.post(draft('b1', 'forswear', {}, { ...ofEpoch(1), ...vmOf(200) })));
    taken(board.post(draft('b1', 'stopVm', { graceSeconds: 0 }, vmOf(201))));
    expect(await Promise.all([copy.end, life.end])).toMatchObject([{ code: 'STEP_ABORTED' }, { code: 'STEP_ABORTED' }]);
    await tick();
    expect([at.length, atWork().slice(-2)]).toEqual([2 * PLACES + 2, ['forswear', 'stopVm']]);
    taken(board.post(resuming(202)));
    await tick();
    expect(atWork().at(-1)).toBe('resume');
  });

  it('of one UUID is one at a time, whosever it is, and is cut short by its own VM’s alone', async () => {
    const { board, atWork, letGo } = held();
    const other = { vm: vmOf(1).vm.replace('csp-a', 'csp-c') };
    const copy = taken(board.post(receiving(1)));
    taken(board.post(draft('b1', 'forswear', {}, { ...ofEpoch(1), ...other })));
    await tick();
    expect(atWork()).toEqual(['receive']);
    letGo[0]?.();
    expect(await copy.end).toEqual(END);
    await tick();
    expect(atWork()).toEqual(['receive', 'forswear']);
  });
});

describe('a board that is full', () => {
  it('takes up what presses or undoes, one of each for a VM, and nothing else', async () => {
    const { board } = await full();
    expect(board.post(draft('b1', 'provideSecrets', { secrets: [] }))).toMatchObject(BUSY);
    expect(board.post(receiving(TASKS_WAITING_MAX))).toMatchObject(BUSY);
    const urgent = [
      () => draft('b1', 'stopVm', { graceSeconds: 0 }),
      () => draft('b1', 'deleteVm', {}),
      () => draft('b1', 'standDown', {}, ofEpoch(1)),
      () => draft('b1', 'forswear', {}, ofEpoch(1)),
      () => draft('b1', 'destroy', {}, ofEpoch(1)),
    ];
    for (const command of urgent) expect(isTask(board.post(command())), command().step).toBe(true);
    expect(board.post(draft('b1', 'stopVm', { graceSeconds: 0 }))).toMatchObject(BUSY);
    expect(board.post(draft('b1', 'forswear', {}, ofEpoch(2)))).toMatchObject(BUSY);
    expect(isTask(board.post(draft('b1', 'stopVm', { graceSeconds: 0 }, vmOf(1))))).toBe(true);
  });

  it('still has its copies cut short by what undoes them', async () => {
    const { board } = await full();
    const copy = taken(board.post(receiving(0)));
    taken(board.post(draft('b1', 'forswear', {}, { ...ofEpoch(1), ...vmOf(0) })));
    expect(await copy.end).toMatchObject({ code: 'STEP_ABORTED' });
  });
});

describe('verifying images', () => {
  it('of one name is one task: all who ask get its end, also when they ask again', async () => {
    const { board, at, letGo } = held();
    const asked = Array.from({ length: 300 }, () => verifying());
    const tasks = asked.map((one) => taken(board.post(one)));
    await tick();
    expect(at.length).toBe(1);
    letGo[0]?.();
    expect(new Set(await Promise.all(tasks.map(({ end }) => end)))).toEqual(new Set([END]));
    expect(asked.map((one) => board.endOf(one))).toEqual(asked.map(() => END));
  });

  it('takes one place, however many images readers name', async () => {
    const { board, atWork } = held();
    for (let n = 0; n < 10; n += 1) taken(board.post(verifying(`image-${n}`)));
    taken(board.post(draft('b1', 'stopVm', { graceSeconds: 0 })));
    await tick();
    expect(atWork()).toEqual(['verifyImage', 'stopVm']);
  });

  it('that waits is good for as long as the last of its askers waits for it', async () => {
    const { board, at, letGo } = held();
    taken(board.post(verifying('other')));
    const [soon, later] = ['2026-11-23T10:05:00.000Z', '2026-11-23T10:10:00.000Z'];
    for (const deadline of [soon, later, soon]) taken(board.post(verifying('tiny', { deadline })));
    await tick();
    letGo[0]?.();
    await tick();
    expect(at[1]).toMatchObject({ body: { name: 'tiny' }, deadline: later });
  });
});
