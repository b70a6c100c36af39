import { type Timestamp, timestamp } from '@carnet/events';
import { expect, it } from 'vitest';
import { taskBoard } from './agent/task-board.ts';
import { failed } from './codes.ts';
import { fakeNetwork } from './fake/artifacts.ts';
import type { FaultPlan } from './fake/faults.ts';
import { hostPaths } from './host-paths.ts';
import {
  ask,
  CAPACITY,
  DISK,
  draft,
  hostA,
  hostB,
  NEW_KEY,
  NEW_SECRET,
  ofEpoch,
  quickClock,
  SECRET,
  SECRETS,
  UUID,
  VM,
} from './testing/drive.ts';
import { createRunning, moves, play, undoing } from './testing/journey.ts';

const paths = hostPaths({ stateDir: '/s', volumesDir: '/v', tmpfsDir: '/t', bootDir: '/b', importDir: '/i', vtpmDir: '/p' });

/** A move up to a step of it. */
async function movedUpTo(step: string, faults?: FaultPlan) {
  const network = fakeNetwork();
  const source = { host: hostA({ network }), name: 'a1' };
  const target = { host: hostB({ network, ...(faults === undefined ? {} : { faults }) }), name: 'b1' };
  const sides = { source, target };
  await createRunning(source);
  const list = moves('suspend', target.host.leaf, source.host.leaf);
  await play(sides, list.slice(0, list.findIndex((move) => move.step === step) + 1), 1);
  return sides;
}

it('a deletion that comes after the VM was given away: it can still be given back', async () => {
  const sides = await movedUpTo('surrender');
  const { agent, hypervisor } = sides.source.host;
  expect(await ask(agent, 'a1', 'deleteVm', {})).toMatchObject({ status: 'refused', code: 'VM_SURRENDERED' });
  await play(sides, undoing('suspend'), 1);
  expect(hypervisor.guest(UUID)).toBeDefined();
});

it('a stop that comes while the VM is held: its memory may be nowhere else', async () => {
  const sides = await movedUpTo('quiesce');
  expect(await ask(sides.source.host.agent, 'a1', 'stopVm', { graceSeconds: 0 })).toMatchObject({
    status: 'refused',
    code: 'VM_HELD',
  });
});

it('a command of people whose turn comes after its deadline is not taken up any more', async () => {
  let now: Timestamp = quickClock.now();
  const later = (ms: number): Timestamp => timestamp.parse(new Date(Date.parse(now) + ms).toISOString());
  const faults: FaultPlan = (operation) => {
    if (operation === 'hypervisor.powerOff') now = later(60_000);
    return undefined;
  };
  const side = { host: hostA({ faults, clock: { ...quickClock, now: () => now } }), name: 'a1' };
  await createRunning(side);
  const { agent, files } = side.host;
  const [stopped, deleted] = await Promise.all([
    ask(agent, 'a1', 'stopVm', { graceSeconds: 0 }),
    ask(agent, 'a1', 'deleteVm', {}, { deadline: later(30_000) }),
  ]);
  expect(stopped).toMatchObject({ status: 'done' });
  expect(deleted).toMatchObject({ status: 'refused', code: 'COMMAND_EXPIRED' });
  expect(files.paths()).toEqual(expect.arrayContaining([paths.fence(VM), paths.volume(VM, DISK), paths.spec(VM)]));
});

it('so is one about an image: nothing is read or encrypted for somebody who has gone', async () => {
  let now: Timestamp = quickClock.now();
  const later = (ms: number): Timestamp => timestamp.parse(new Date(Date.parse(now) + ms).toISOString());
  const read: string[] = [];
  const faults: FaultPlan = (operation) => {
    if (operation.startsWith('artifacts.')) read.push(operation);
    if (operation === 'artifacts.verifyImage') now = later(60_000);
    return undefined;
  };
  const { agent } = hostA({ faults, clock: { ...quickClock, now: () => now } });
  const soon = { deadline: later(30_000) };
  const [first, second] = await Promise.all([
    ask(agent, 'a1', 'verifyImage', { name: 'one' }, soon),
    ask(agent, 'a1', 'verifyImage', { name: 'two' }, soon),
  ]);
  expect([first, second]).toMatchObject([{ code: 'IMAGE_UNKNOWN' }, { code: 'COMMAND_EXPIRED' }]);
  expect(read).toEqual(['artifacts.verifyImage']);
});

it('an undoing that comes late cuts nothing short of the attempts after it', async () => {
  const board = taskBoard(4, async (command, { signal }) => {
    if (command.step === 'observe') await new Promise((resolve) => setImmediate(resolve));
    return failed(signal.aborted ? 'STEP_ABORTED' : 'TRANSFER_FAILED');
  });
  const looking = (epoch: number) => draft('b1', 'observe', { signs: 'console', withinSeconds: 5 }, ofEpoch(epoch));
  const newer = board.post(looking(2));
  board.post(draft('b1', 'forswear', {}, ofEpoch(1)));
  expect('end' in newer && (await newer.end)).toMatchObject({ code: 'TRANSFER_FAILED' });
  const older = board.post(looking(3));
  board.post(draft('b1', 'forswear', {}, ofEpoch(3)));
  expect('end' in older && (await older.end)).toMatchObject({ code: 'STEP_ABORTED' });
});

it('a copy that stands down leaves no clear memory, and libvirt no key of it, also none that was on its way', async () => {
  const sides = await movedUpTo('start', (operation) =>
    operation === 'hypervisor.pivotDisk' ? { when: 'before', setback: failed('LIBVIRT_FAILED') } : undefined,
  );
  const { agent, files, hypervisor } = sides.target.host;
  const volumes = [{ artifact: DISK, capacityBytes: CAPACITY, from: SECRET, to: NEW_SECRET }];
  expect(await ask(agent, 'b1', 'reencrypt', { volumes }, ofEpoch(1))).toMatchObject({ code: 'LIBVIRT_FAILED' });
  expect(await hypervisor.hasSecret(NEW_KEY)).toBe(true);
  await files.write(paths.clearMemory(VM), Buffer.from('what an agent that died left of a restore'));
  const stood = await ask(agent, 'b1', 'standDown', {}, ofEpoch(1));
  expect(stood).toMatchObject({ status: 'done' });
  expect(await hypervisor.hasSecret(NEW_KEY)).toBe(false);
  expect(files.paths().filter((path) => path.startsWith('/t'))).toEqual([]);
  expect(await ask(agent, 'b1', 'startVm', { secrets: SECRETS })).toMatchObject({ code: 'VM_SURRENDERED' });
});
