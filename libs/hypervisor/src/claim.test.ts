import { expect, it } from 'vitest';
import { fakeNetwork } from './fake/artifacts.ts';
import { ask, hostA, hostB, ofEpoch, SPEC, UNTIL, UUID, VM } from './testing/drive.ts';
import { createRunning, moves, play } from './testing/journey.ts';

/** As a third CSP may call a VM of its own: homes differ, the UUID does not. */
const PLANTED = { vm: `csp-c.example/${UUID}` };
const reserving = { spec: { ...SPEC, name: 'planted' }, mode: 'cold', until: UNTIL };

it.each(['reserve', 'receive', 'start'])('a UUID that arrives (%s) is nobody else’s: nothing of it is touched', async (upTo) => {
  const network = fakeNetwork();
  const sides = { source: { host: hostA({ network }), name: 'a1' }, target: { host: hostB({ network }), name: 'b1' } };
  await createRunning(sides.source);
  const list = moves('cold', sides.target.host.leaf, sides.source.host.leaf);
  await play(sides, list.slice(0, list.findIndex((move) => move.step === upTo) + 1), 1);
  const { agent, files, hypervisor } = sides.target.host;
  const before = [files.paths(), (await hypervisor.find(UUID))?.state];
  for (const [step, body] of [
    ['reserve', reserving],
    ['forswear', {}],
    ['destroy', {}],
    ['standDown', {}],
  ] as const)
    expect(await ask(agent, 'b1', step, body, { ...ofEpoch(1), ...PLANTED }), step).toMatchObject({
      status: 'refused',
      code: 'VM_PRESENT',
    });
  expect([files.paths(), (await hypervisor.find(UUID))?.state]).toEqual(before);
});

it('nor is one that was promised room first; a look claims nothing', async () => {
  const { agent, files } = hostB();
  expect(await ask(agent, 'b1', 'inspect', {}, PLANTED)).toMatchObject({ status: 'done' });
  expect(files.paths()).toEqual([]);
  expect(await ask(agent, 'b1', 'reserve', reserving, { ...ofEpoch(1), ...PLANTED })).toMatchObject({ status: 'done' });
  expect(await ask(agent, 'b1', 'reserve', { ...reserving, spec: SPEC }, { ...ofEpoch(1), vm: VM })).toMatchObject({
    code: 'VM_PRESENT',
  });
});
