import { digest } from '@carnet/events';
import { describe, expect, it } from 'vitest';
import { failed } from './codes.ts';
import { fakeNetwork } from './fake/artifacts.ts';
import type { FaultPlan } from './fake/faults.ts';
import {
  ask,
  DISK,
  draft,
  hostA,
  hostB,
  KEY,
  MEMORY,
  MEMORY_SECRET,
  ofEpoch,
  SECRETS,
  SPEC,
  secretOf,
  UNTIL,
  UUID,
  VM,
  VTPM,
  VTPM_KEY,
} from './testing/drive.ts';
import { createRunning, moves, play, undoing } from './testing/journey.ts';

const pair = () => {
  const network = fakeNetwork();
  const source = { host: hostA({ network }), name: 'a1' };
  const target = { host: hostB({ network }), name: 'b1' };
  return { source, target };
};
const movesOf = (mode: 'cold' | 'suspend', { source, target }: ReturnType<typeof pair>) =>
  moves(mode, target.host.leaf, source.host.leaf);
const upTo = <M extends { readonly step: string }>(list: readonly M[], step: string): readonly M[] =>
  list.slice(0, list.findIndex((move) => move.step === step) + 1);

/** Everything that a host still holds of the VM besides its memory of epochs. */
const leftAt = (side: ReturnType<typeof pair>['source']) =>
  side.host.files.paths().filter((path) => !/^\/s\/(fence|claims|steps)\//.test(path));

describe('a migration between two hosts', () => {
  it('cold: stops here, boots there, leaves nothing here', async () => {
    const sides = pair();
    await createRunning(sides.source);
    const found = await play(sides, movesOf('cold', sides), 1);
    expect(sides.target.host.hypervisor.guest(UUID)?.ticks).toBeGreaterThan(0);
    expect(sides.source.host.hypervisor.guest(UUID)).toBeUndefined();
    expect(leftAt(sides.source)).toEqual([]);
    expect(found.get('retire')).toMatchObject({ result: { artifacts: [DISK, VTPM] } });
  });

  it('suspend: the same boot goes on counting, and its sealed memory is gone', async () => {
    const sides = pair();
    await createRunning(sides.source);
    const before = sides.source.host.hypervisor.guest(UUID);
    await play(sides, movesOf('suspend', sides), 1);
    const after = sides.target.host.hypervisor.guest(UUID);
    expect(after?.boot).toBe(before?.boot);
    expect(after?.ticks).toBeGreaterThan(before?.ticks ?? 0);
    expect(
      [...leftAt(sides.source), ...leftAt(sides.target)].filter((path) => path.endsWith('.state') || path.startsWith('/t')),
    ).toEqual([]);
  });

  it('saved memory that is lost at a target before anything of it ran: it refuses, swears, and the source goes on with its own', async () => {
    const sides = pair();
    await createRunning(sides.source);
    const before = sides.source.host.hypervisor.guest(UUID);
    const list = movesOf('suspend', sides);
    await play(sides, upTo(list, 'surrender'), 1);
    const { files, agent } = sides.target.host;
    for (const path of files.paths().filter((one) => one.endsWith(`staging/${UUID}-1/${MEMORY}`))) await files.remove(path);
    const start = { spec: SPEC, secrets: SECRETS, vcpus: 'run', memory: MEMORY_SECRET };
    expect(await ask(agent, 'b1', 'start', start, ofEpoch(1))).toMatchObject({ status: 'refused', code: 'MEMORY_STATE_LOST' });
    expect(sides.target.host.hypervisor.guest(UUID)).toBeUndefined();
    await play(sides, undoing('suspend'), 1);
    expect(sides.source.host.hypervisor.guest(UUID)?.boot).toBe(before?.boot);
    expect(leftAt(sides.target)).toEqual([]);
  });

  it('goes on to a third epoch and back: A → B → A', async () => {
    const sides = pair();
    await createRunning(sides.source);
    await play(sides, movesOf('cold', sides), 1);
    const back = { source: sides.target, target: sides.source };
    await play(back, movesOf('suspend', back), 2);
    expect(sides.source.host.hypervisor.guest(UUID)).toBeDefined();
    expect(leftAt(sides.target)).toEqual([]);
  });

  it.each([
    'cold',
    'suspend',
  ] as const)('%s, undone after the surrender: the source runs again, the target holds nothing', async (mode) => {
    const sides = pair();
    await createRunning(sides.source);
    const before = sides.source.host.hypervisor.guest(UUID);
    await play(sides, upTo(movesOf(mode, sides), 'surrender'), 1);
    await play(sides, undoing(mode), 1);
    const after = sides.source.host.hypervisor.guest(UUID);
    expect(after?.boot === before?.boot).toBe(mode === 'suspend');
    expect(leftAt(sides.target)).toEqual([]);
    expect(leftAt(sides.source).filter((path) => path.endsWith('.state'))).toEqual([]);
  });

  it('a VM that was stopped stays stopped', async () => {
    const sides = pair();
    await createRunning(sides.source);
    await ask(sides.source.host.agent, 'a1', 'stopVm', { graceSeconds: 1 });
    const list = movesOf('cold', sides).map((move) =>
      move.step === 'start' ? { ...move, body: () => ({ spec: SPEC, vcpus: 'held', secrets: SECRETS }) } : move,
    );
    await play(sides, list, 1);
    expect(sides.target.host.hypervisor.ran()).toEqual([]);
    expect(await ask(sides.target.host.agent, 'b1', 'startVm', { secrets: SECRETS })).toMatchObject({ status: 'done' });
  });
});

describe('refusals change nothing', () => {
  const refusal = async (reply: Promise<unknown>, code: string): Promise<void> =>
    expect(await reply).toMatchObject({ status: 'refused', code });

  it('another host’s, a late, and a repeated but different command', async () => {
    const { source } = pair();
    await refusal(ask(source.host.agent, 'b1', 'inspect', {}), 'COMMAND_MISDIRECTED');
    const late = { deadline: '2020-01-01T00:00:00.000Z' };
    await refusal(ask(source.host.agent, 'a1', 'inspect', {}, late), 'COMMAND_EXPIRED');
    await createRunning(source);
    await ask(source.host.agent, 'a1', 'quiesce', { mode: 'cold', graceSeconds: 1 }, ofEpoch(1));
    const other = { mode: 'suspend', graceSeconds: 1, memory: MEMORY_SECRET };
    await refusal(ask(source.host.agent, 'a1', 'quiesce', other, ofEpoch(1)), 'STEP_CONFLICT');
  });

  it('an older epoch, whatever its attempt', async () => {
    const { source } = pair();
    await createRunning(source);
    await ask(source.host.agent, 'a1', 'quiesce', { mode: 'cold', graceSeconds: 1 }, ofEpoch(5));
    await refusal(
      ask(
        source.host.agent,
        'a1',
        'resume',
        { proof: { kind: 'withdrawn', event: 'c'.repeat(64) }, secrets: SECRETS },
        { ...ofEpoch(4), attempt: 99 },
      ),
      'EPOCH_FENCED',
    );
  });

  it('starting what is held, surrendered or forsworn', async () => {
    const sides = pair();
    const { agent } = sides.source.host;
    await createRunning(sides.source);
    await play(sides, upTo(movesOf('cold', sides), 'receive'), 1);
    await refusal(ask(agent, 'a1', 'startVm', { secrets: SECRETS }), 'VM_HELD');
    await refusal(ask(agent, 'a1', 'deleteVm', {}), 'VM_HELD');
    await refusal(ask(agent, 'a1', 'retire', {}, ofEpoch(1)), 'NOT_SURRENDERED');
    await ask(agent, 'a1', 'surrender', {}, ofEpoch(1));
    await refusal(ask(agent, 'a1', 'startVm', { secrets: SECRETS }), 'VM_SURRENDERED');
    await refusal(
      ask(agent, 'a1', 'serve', { round: 0, artifacts: [DISK], peer: ['x'.repeat(4)], until: UNTIL }, ofEpoch(1)),
      'VM_SURRENDERED',
    );
    await refusal(
      ask(agent, 'a1', 'resume', { proof: { kind: 'withdrawn', event: 'c'.repeat(64) }, secrets: SECRETS }, ofEpoch(1)),
      'PROOF_MISSING',
    );
    const target = sides.target.host.agent;
    await refusal(ask(target, 'b1', 'destroy', {}, ofEpoch(1)), 'NOT_FORSWORN');
    await ask(target, 'b1', 'forswear', {}, ofEpoch(1));
    await refusal(ask(target, 'b1', 'start', { spec: SPEC, vcpus: 'run', secrets: SECRETS }, ofEpoch(1)), 'VM_FORSWORN');
    expect(sides.source.host.hypervisor.ran()).toEqual([UUID]);
    expect(sides.target.host.hypervisor.ran()).toEqual([]);
  });

  it('forswearing what may have run', async () => {
    const sides = pair();
    await createRunning(sides.source);
    await play(sides, upTo(movesOf('cold', sides), 'start'), 1);
    await refusal(ask(sides.target.host.agent, 'b1', 'forswear', {}, ofEpoch(1)), 'VM_MAY_HAVE_RUN');
  });

  it('a key that does not open, a missing one, one that is none', async () => {
    const sides = pair();
    await createRunning(sides.source);
    await play(sides, upTo(movesOf('cold', sides), 'surrender'), 1);
    const { agent, hypervisor } = sides.target.host;
    const start = (secrets: readonly unknown[]) =>
      ask(agent, 'b1', 'start', { spec: SPEC, vcpus: 'run', secrets: [...secrets, ...SECRETS.slice(1)] }, ofEpoch(1));
    await refusal(start([]), 'SECRET_MISSING');
    await refusal(start([{ key: KEY, sealed: 'AAAA' }]), 'SECRET_REFUSED');
    await refusal(start([secretOf(KEY, 8)]), 'LUKS_DOES_NOT_OPEN');
    expect(hypervisor.ran()).toEqual([]);
    // Nothing ran, so the target can still swear.
    expect(await ask(agent, 'b1', 'forswear', {}, ofEpoch(1))).toMatchObject({ status: 'done', result: { step: 'forswear' } });
  });

  it('no room: memory, disk, and what is promised to others', async () => {
    const tight = hostB({ limits: { memoryMiB: 300 } });
    const reserve = (vm: string) =>
      ask(tight.agent, 'b1', 'reserve', { spec: SPEC, mode: 'cold', until: UNTIL }, { ...ofEpoch(1), vm });
    expect(await reserve(VM)).toMatchObject({ status: 'done' });
    expect(await reserve(VM)).toMatchObject({ status: 'done' });
    await refusal(reserve(VM.replace('3333-4', '3333-5')), 'NO_ROOM');
    const small = hostB({ volumeBytesFree: 1_000 });
    await refusal(ask(small.agent, 'b1', 'reserve', { spec: SPEC, mode: 'cold', until: UNTIL }, ofEpoch(1)), 'NO_ROOM');
  });

  it('a spec that is not the VM’s, a suspend of a stopped VM', async () => {
    const { source } = pair();
    await ask(source.host.agent, 'a1', 'createVm', { spec: SPEC, secrets: SECRETS });
    await refusal(
      ask(source.host.agent, 'a1', 'preflight', { spec: { ...SPEC, vcpus: 2 }, mode: 'cold' }, ofEpoch(1)),
      'SPEC_MISMATCH',
    );
    await refusal(ask(source.host.agent, 'a1', 'preflight', { spec: SPEC, mode: 'suspend' }, ofEpoch(1)), 'VM_NOT_RUNNING');
    await refusal(
      ask(source.host.agent, 'a1', 'quiesce', { mode: 'suspend', graceSeconds: 1, memory: MEMORY_SECRET }, ofEpoch(1)),
      'VM_NOT_RUNNING',
    );
  });

  it('clear memory anywhere but on a tmpfs', async () => {
    const host = hostA({ tmpfs: [] });
    await createRunning({ host, name: 'a1' });
    await refusal(ask(host.agent, 'a1', 'preflight', { spec: SPEC, mode: 'suspend' }, ofEpoch(1)), 'TMPFS_REQUIRED');
    const quiesce = { mode: 'suspend', graceSeconds: 1, memory: MEMORY_SECRET };
    await refusal(ask(host.agent, 'a1', 'quiesce', quiesce, ofEpoch(1)), 'TMPFS_REQUIRED');
    expect(await ask(host.agent, 'a1', 'inspect', {})).toMatchObject({
      result: {
        state: 'running',
        fence: { epoch: 0, vcpus: 'may-run' },
        volumes: [{ artifact: DISK, sizeBytes: expect.any(Number) }],
      },
    });
  });

  it('a second VM of a name, and a promise that is over does not count', async () => {
    const host = hostB({ limits: { memoryMiB: 300 } });
    const other = VM.replace('3333-4', '3333-5');
    const past = { spec: SPEC, mode: 'cold', until: '2026-11-23T09:00:00.000Z' };
    expect(await ask(host.agent, 'b1', 'reserve', past, { ...ofEpoch(1), vm: other })).toMatchObject({ status: 'done' });
    expect((await host.agent.hello()).capacity.memoryMiBReserved).toBe(0);
    expect(host.files.paths().filter((path) => path.startsWith('/s/leases/'))).toEqual([]);
    expect(await ask(host.agent, 'b1', 'createVm', { spec: SPEC, secrets: SECRETS })).toMatchObject({ status: 'done' });
    await refusal(ask(host.agent, 'b1', 'reserve', past, { ...ofEpoch(1), vm: other }), 'NAME_TAKEN');
  });

  it('receiving what no room is promised to: never, no longer, or to another epoch', async () => {
    const sides = pair();
    await createRunning(sides.source);
    const found = await play(sides, upTo(movesOf('cold', sides), 'serve'), 1);
    const sealed = found.get('seal');
    const preflight = found.get('preflight');
    if (sealed?.status !== 'done' || sealed.result.step !== 'seal') throw new Error('expected a seal');
    if (preflight?.status !== 'done' || preflight.result.step !== 'preflight') throw new Error('expected a data path');
    const { dataPath } = preflight.result;
    const body = { round: 0, dataPath, peer: [sides.source.host.leaf], artifacts: sealed.result.artifacts };
    const { host } = sides.target;
    const receive = (n: number) => ask(host.agent, 'b1', 'receive', body, ofEpoch(n));
    await refusal(receive(2), 'RESERVATION_MISSING');
    const past = { spec: SPEC, mode: 'cold', until: '2026-11-23T09:00:00.000Z' };
    expect(await ask(host.agent, 'b1', 'reserve', past, ofEpoch(1))).toMatchObject({ status: 'done' });
    await refusal(receive(1), 'RESERVATION_MISSING');
    await host.agent.hello();
    await refusal(receive(1), 'RESERVATION_MISSING');
    expect(host.files.paths().filter((path) => path.startsWith('/v/'))).toEqual([]);
    await ask(host.agent, 'b1', 'reserve', { ...past, until: UNTIL }, ofEpoch(1));
    expect(await receive(1)).toMatchObject({ status: 'done' });
  });

  it('a damaged fence entry refuses its VM only', async () => {
    const { source } = pair();
    await createRunning(source);
    const path = source.host.ports.paths.fence(VM);
    await source.host.files.write(path, Buffer.from('{"v":1'));
    await refusal(ask(source.host.agent, 'a1', 'startVm', { secrets: SECRETS }), 'FENCE_UNREADABLE');
    await refusal(ask(source.host.agent, 'a1', 'quiesce', { mode: 'cold', graceSeconds: 1 }, ofEpoch(1)), 'FENCE_UNREADABLE');
    const other = VM.replace('3333-4', '3333-5');
    expect(await ask(source.host.agent, 'a1', 'inspect', {}, { vm: other })).toMatchObject({ status: 'done' });
    await source.host.files.remove(path);
    await refusal(ask(source.host.agent, 'a1', 'startVm', { secrets: SECRETS }), 'FENCE_UNREADABLE');
  });
});

describe('secrets', () => {
  it('lie in no file, no reply and no report of either host', async () => {
    const sides = pair();
    const said: unknown[] = [];
    for (const { host } of Object.values(sides)) host.agent.subscribe((report) => said.push(report));
    await createRunning(sides.source);
    const found = await play(sides, movesOf('suspend', sides), 1);
    const files = await Promise.all(
      [sides.source.host, sides.target.host].flatMap(({ files }) =>
        files.paths().map(async (path) => (await files.read(path))?.toString('latin1')),
      ),
    );
    const everything = JSON.stringify([files, said, [...found]]);
    for (const key of [Buffer.alloc(32, 7), Buffer.alloc(32, 9)]) {
      for (const form of [key.toString('hex'), key.toString('base64'), key.toString('latin1')])
        expect(everything).not.toContain(form);
    }
  });
});

describe('what is asked again', () => {
  it('gets the recorded result, from memory and after a restart', async () => {
    const { source } = pair();
    await createRunning(source);
    const quiesce = { mode: 'cold', graceSeconds: 1 };
    const one = await ask(source.host.agent, 'a1', 'quiesce', quiesce, ofEpoch(1));
    const two = await ask(source.host.agent, 'a1', 'quiesce', quiesce, { ...ofEpoch(1), attempt: 2 });
    const three = await ask(source.host.restart(), 'a1', 'quiesce', quiesce, { ...ofEpoch(1), attempt: 3 });
    for (const later of [two, three]) {
      expect({ ...later, id: '', command: '' }).toEqual({ ...one, id: '', command: '' });
    }
  });

  it('the same command twice at once is performed once', async () => {
    const { source } = pair();
    await ask(source.host.agent, 'a1', 'createVm', { spec: SPEC, secrets: SECRETS });
    const command = draft('a1', 'startVm', { secrets: SECRETS });
    const replies = await Promise.all([1, 2, 3].map(() => source.host.agent.handle(command)));
    expect(new Set(replies.map(({ status }) => status))).toEqual(new Set(['done']));
    expect(source.host.hypervisor.ran()).toEqual([UUID]);
  });

  it('a long step says running, then its end', async () => {
    const slow = hostA({ replyWithinMs: 1 });
    await ask(slow.agent, 'a1', 'createVm', { spec: SPEC, secrets: SECRETS });
    const sides = { source: { host: slow, name: 'a1' }, target: { host: hostB(), name: 'b1' } };
    expect(await ask(slow.agent, 'a1', 'startVm', { secrets: SECRETS })).toMatchObject({ status: 'done' });
    await play(sides, upTo(movesOf('cold', sides), 'quiesce'), 1);
  });

  it('a draining agent takes nothing new', async () => {
    const { source } = pair();
    await source.host.agent.close();
    expect(await ask(source.host.agent, 'a1', 'inspect', {})).toMatchObject({ status: 'refused', code: 'HOST_DRAINING' });
  });
});

describe('steps at once', () => {
  const hanging = () => {
    const network = fakeNetwork();
    const source = { host: hostA({ network }), name: 'a1' };
    const never = { when: 'never', setback: failed('STEP_ABORTED') } as const;
    const faults: FaultPlan = (operation) => (operation === 'artifacts.pull' ? never : undefined);
    return { source, target: { host: hostB({ network, faults, replyWithinMs: 5, stepsAtOnce: 2 }), name: 'b1' } };
  };
  const receive = (found: Awaited<ReturnType<typeof play>>) => {
    const sealed = found.get('seal');
    const artifacts = sealed?.status === 'done' && sealed.result.step === 'seal' ? sealed.result.artifacts : [];
    const dataPath = { address: '127.0.0.1', port: 40_001, serverName: 'fake.example' };
    return { round: 0, dataPath, peer: ['xxxx'], artifacts };
  };

  it('undoing cuts a transfer short, and comes after it', async () => {
    const sides = hanging();
    await createRunning(sides.source);
    const found = await play(sides, upTo(movesOf('cold', sides), 'serve'), 1);
    const { agent } = sides.target.host;
    const pulling = draft('b1', 'receive', receive(found), ofEpoch(1));
    expect(await agent.handle(pulling)).toMatchObject({ status: 'running' });
    expect(await ask(agent, 'b1', 'forswear', {}, ofEpoch(1))).toMatchObject({ status: 'done' });
    expect(await agent.handle(pulling)).toMatchObject({ status: 'failed', code: 'STEP_ABORTED', retryable: true });
    expect(await ask(agent, 'b1', 'destroy', {}, ofEpoch(1))).toMatchObject({ status: 'done' });
    expect(leftAt(sides.target)).toEqual([]);
  });

  it('one VM’s transfer holds up its own steps and no other VM’s; with all places taken, another’s copy waits, and nothing short', async () => {
    const sides = hanging();
    await createRunning(sides.source);
    const found = await play(sides, upTo(movesOf('cold', sides), 'serve'), 1);
    const { agent } = sides.target.host;
    const other = { vm: VM.replace('3333-4', '3333-5') };
    const third = { vm: VM.replace('3333-4', '3333-6') };
    expect(await agent.handle(draft('b1', 'receive', receive(found), ofEpoch(1)))).toMatchObject({ status: 'running' });
    expect(await agent.handle(draft('b1', 'provideSecrets', { secrets: [] }))).toMatchObject({ status: 'running' });
    expect(await ask(agent, 'b1', 'inspect', {})).toMatchObject({ status: 'done' });
    expect(await ask(agent, 'b1', 'inspect', {}, other)).toMatchObject({ status: 'done' });
    const reserve = { spec: { ...SPEC, name: 'other' }, mode: 'cold', until: UNTIL };
    expect(await ask(agent, 'b1', 'reserve', reserve, { ...ofEpoch(1), ...other })).toMatchObject({ status: 'done' });
    expect(await agent.handle(draft('b1', 'receive', receive(found), { ...ofEpoch(1), ...other }))).toMatchObject({
      status: 'running',
    });
    const copied = agent.handle(draft('b1', 'receive', receive(found), { ...ofEpoch(1), ...third }));
    expect(await copied).toMatchObject({ status: 'running' });
    const fourth = { vm: VM.replace('3333-4', '3333-7') };
    expect(await ask(agent, 'b1', 'stopVm', { graceSeconds: 0 }, fourth)).toMatchObject({ code: 'VM_NOT_HERE' });
    expect(await ask(agent, 'b1', 'forswear', {}, { ...ofEpoch(1), ...fourth })).toMatchObject({ status: 'done' });
    expect(await ask(agent, 'b1', 'inspect', {}, third)).toMatchObject({ status: 'done' });
    await agent.close();
  });
});

describe('the hello', () => {
  it('names lost secrets after libvirtd restarted, and provideSecrets brings them back', async () => {
    const { source } = pair();
    const heard: unknown[] = [];
    source.host.agent.subscribe((report) => heard.push(report));
    await createRunning(source);
    expect((await source.host.agent.hello()).secretsMissing).toEqual([]);
    source.host.hypervisor.restartDaemon();
    expect((await source.host.agent.hello()).secretsMissing).toEqual([{ vm: VM, keys: [KEY, VTPM_KEY] }]);
    expect(await ask(source.host.agent, 'a1', 'provideSecrets', { secrets: SECRETS })).toMatchObject({
      result: { provided: 2 },
    });
    expect((await source.host.agent.hello()).secretsMissing).toEqual([]);
    expect(heard).toContainEqual(expect.objectContaining({ kind: 'notice', event: 'libvirt-back' }));
  });

  it('shows VMs, fence and what is left of the host', async () => {
    const { source } = pair();
    await createRunning(source);
    const hello = await source.host.agent.hello();
    expect(hello.vms).toEqual([
      { vm: VM, state: 'running', fence: { epoch: 0, standing: 'mine', vcpus: 'may-run', role: 'home' } },
    ]);
    expect(digest.safeParse(source.host.leaf).success).toBe(true);
  });
});
