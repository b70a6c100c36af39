import { beforeEach, describe, expect, it } from 'vitest';
import { fakeNetwork } from './fake/artifacts.ts';
import { VTPM_BYTES_MAX } from './limits.ts';
import { ask, DISK, hostA, hostB, ofEpoch, SECRETS, SPEC, VM, VTPM } from './testing/drive.ts';
import { createRunning, moves, play, type Side, undoing } from './testing/journey.ts';

let sides: { readonly source: Side; readonly target: Side };
const list = (mode: 'cold' | 'suspend' = 'cold') => moves(mode, sides.target.host.leaf, sides.source.host.leaf);
const upTo = (step: string) => list().slice(0, list().findIndex((move) => move.step === step) + 1);
const stateAt = async ({ host }: Side): Promise<string | undefined> =>
  (await host.files.read(host.ports.paths.vtpmState(VM)))?.toString('utf8');
const copiesAt = ({ host }: Side): readonly string[] => host.files.paths().filter((path) => path.endsWith('.vtpm'));
/** How often the TPM was started, as its own state says. */
const resetsAt = async (side: Side): Promise<number> => Number((await stateAt(side))?.split(' ')[1]);

beforeEach(async () => {
  const network = fakeNetwork();
  sides = { source: { host: hostA({ network }), name: 'a1' }, target: { host: hostB({ network }), name: 'b1' } };
  await createRunning(sides.source);
});

describe('the state of a vTPM', () => {
  it('moves with its VM, goes on at the target, and is gone at the source', async () => {
    expect(await resetsAt(sides.source)).toBe(1);
    await play(sides, list(), 1);
    expect(await resetsAt(sides.target)).toBe(2);
    expect(await stateAt(sides.source)).toBeUndefined();
    expect([...copiesAt(sides.source), ...copiesAt(sides.target)]).toEqual([]);
  });

  it('stays where it is when the move is undone: what the target had is destroyed, the copy at the source ends', async () => {
    await play(sides, upTo('surrender'), 1);
    expect(copiesAt(sides.source)).toHaveLength(1);
    await play(sides, undoing('cold'), 1);
    expect(await resetsAt(sides.source)).toBe(2);
    expect(await stateAt(sides.target)).toBeUndefined();
    expect([...copiesAt(sides.source), ...copiesAt(sides.target)]).toEqual([]);
  });

  it('never goes back: a start that is asked again after the VM ran places no old copy', async () => {
    await play(sides, list(), 1);
    const { agent } = sides.target.host;
    await ask(agent, 'b1', 'stopVm', { graceSeconds: 1 });
    await ask(agent, 'b1', 'startVm', { secrets: SECRETS });
    expect(await resetsAt(sides.target)).toBe(3);
    await ask(agent, 'b1', 'start', { spec: SPEC, vcpus: 'run', secrets: SECRETS }, { ...ofEpoch(1), attempt: 2 });
    expect(await resetsAt(sides.target)).toBe(3);
  });

  it('goes with a deleted VM', async () => {
    const { agent } = sides.source.host;
    await ask(agent, 'a1', 'stopVm', { graceSeconds: 1 });
    await ask(agent, 'a1', 'deleteVm', {});
    expect(await stateAt(sides.source)).toBeUndefined();
  });
});

describe('refusals change nothing', () => {
  it('a VM whose vTPM was never started is not moved', async () => {
    const host = hostA();
    await ask(host.agent, 'a1', 'createVm', { spec: SPEC, secrets: SECRETS });
    const before = host.files.paths();
    const asked = await ask(host.agent, 'a1', 'preflight', { spec: SPEC, mode: 'cold' }, ofEpoch(1));
    expect(asked).toMatchObject({ status: 'refused', code: 'VTPM_STATE_MISSING' });
    expect(host.files.paths()).toEqual(before);
  });

  it('room is promised to no VM whose vTPM is here already', async () => {
    await sides.target.host.files.write(sides.target.host.ports.paths.vtpmState(VM), Buffer.from('somebody’s'));
    const body = { spec: SPEC, mode: 'cold', until: '2030-01-01T00:00:00.000Z' };
    expect(await ask(sides.target.host.agent, 'b1', 'reserve', body, ofEpoch(1))).toMatchObject({ code: 'VM_PRESENT' });
  });

  it.each([
    ['a state larger than any', 'vtpm', VTPM_BYTES_MAX + 1, 'VTPM_STATE_REFUSED'],
    ['a kind that no host makes', 'nvram', 10, 'ARTIFACT_UNSUPPORTED'],
  ])('%s is not received', async (_, kind, sizeBytes, code) => {
    const found = await play(sides, upTo('serve'), 1);
    const before = sides.target.host.files.paths();
    const preflight = found.get('preflight');
    const dataPath =
      preflight?.status === 'done' && preflight.result.step === 'preflight' ? preflight.result.dataPath : undefined;
    const sealed = { kind: 'disk', chunkBytes: 1_048_576, root: 'ab'.repeat(32), sizeBytes: 10 };
    const artifacts = [
      { ...sealed, artifact: DISK },
      { ...sealed, artifact: VTPM, kind, sizeBytes },
    ];
    const body = { round: 0, dataPath, peer: [sides.source.host.leaf], artifacts };
    expect(await ask(sides.target.host.agent, 'b1', 'receive', body, ofEpoch(1))).toMatchObject({ status: 'refused', code });
    expect(sides.target.host.files.paths()).toEqual(before);
  });
});
