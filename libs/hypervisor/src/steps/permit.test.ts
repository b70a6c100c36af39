import { describe, expect, it } from 'vitest';
import { failed } from '../codes.ts';
import { fakeNetwork } from '../fake/artifacts.ts';
import { decodeTicket } from '../fence/ticket.ts';
import { ask, BECAUSE, first, hostA, hostB, ofEpoch, permitOf, SECRETS, SPEC, UUID, VM } from '../testing/drive.ts';
import { createRunning, moves, play } from '../testing/journey.ts';

const create = { spec: SPEC, secrets: SECRETS };

describe('the permit that comes with a command', () => {
  it('is kept: of epoch 0 where a VM is created, gone with the VM', async () => {
    const a = hostA();
    await createRunning({ host: a, name: 'a1' });
    expect(a.permits.kept(VM)).toBe(0);
    await ask(a.agent, 'a1', 'stopVm', { graceSeconds: 0 });
    expect(await ask(a.agent, 'a1', 'deleteVm', {})).toMatchObject({ status: 'done' });
    expect(a.permits.kept(VM)).toBeUndefined();
  });

  it('for something else: the command is refused, and nothing has changed', async () => {
    const a = hostA();
    for (const [permit, code] of [
      [permitOf('a1', 1), 'RUN_PERMIT_MISMATCH'],
      [{ ...permitOf('a1', 0), payloadType: 'application/vnd.carnet.command.v1+json' }, 'RUN_PERMIT_INVALID'],
    ] as const)
      expect(await ask(a.agent, 'a1', 'createVm', create, { permit })).toMatchObject({ status: 'refused', code });
    expect([a.files.paths(), await a.agent.fence.read(VM)]).toEqual([[], { ok: true, value: undefined }]);
  });

  it('is durable before the fence moves: a crash between leaves a VM that the hook lets nobody start', async () => {
    const a = hostA({
      faults: (operation) => (operation === 'files.write' ? { when: 'before', setback: failed('DISK_FAILED') } : undefined),
    });
    expect(await ask(a.agent, 'a1', 'createVm', create)).toMatchObject({ status: 'failed' });
    expect(a.permits.kept(VM)).toBe(0);
    expect(await a.agent.fence.read(VM)).toEqual({ ok: true, value: undefined });
  });

  it('a plain start renews it, in the register’s epoch only', async () => {
    const a = hostA();
    await createRunning({ host: a, name: 'a1' });
    await a.permits.forget(VM);
    await ask(a.agent, 'a1', 'startVm', { secrets: SECRETS, epoch: 7 });
    expect(a.permits.kept(VM)).toBeUndefined();
    await ask(a.agent, 'a1', 'startVm', { secrets: SECRETS, epoch: 0 });
    expect(a.permits.kept(VM)).toBe(0);
  });

  it('a withdrawal brings one of its epoch', async () => {
    const a = hostA();
    await createRunning({ host: a, name: 'a1' });
    const body = { proof: { kind: 'withdrawn', event: BECAUSE }, secrets: SECRETS };
    expect(await ask(a.agent, 'a1', 'resume', body, ofEpoch(1))).toMatchObject({ status: 'done' });
    expect(a.permits.kept(VM)).toBe(1);
  });
});

describe('the start of what arrived', () => {
  it('bears a ticket of its epoch while libvirt starts it held, and no longer; the source keeps no permit', async () => {
    const network = fakeNetwork();
    const seen: unknown[] = [];
    const source = { host: hostA({ network }), name: 'a1' };
    const target = {
      host: hostB({
        network,
        faults: (operation) => {
          if (operation === 'hypervisor.startHeld')
            void target.host.files.read(`/t/${UUID}.start`).then((bytes) => seen.push(bytes));
          return undefined;
        },
      }),
      name: 'b1',
    };
    await createRunning(source);
    await play({ source, target }, moves('cold', target.host.leaf, source.host.leaf), 1);
    const [bytes] = seen;
    if (!Buffer.isBuffer(bytes)) throw new Error('no ticket');
    expect(decodeTicket(bytes)).toMatchObject({ vm: VM, epoch: first });
    expect(target.host.files.paths().filter((path) => path.startsWith('/t'))).toEqual([]);
    expect([source.host.permits.kept(VM), target.host.permits.kept(VM)]).toEqual([undefined, 1]);
  });
});
