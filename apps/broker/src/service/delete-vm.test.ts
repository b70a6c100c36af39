import { hostName, intentRequest, type VmId, type VmRestrictions } from '@carnet/events';
import { vmConsumer } from '@carnet/keys';
import { describe, expect, it } from 'vitest';
import { DISK_KEY, SPEC, VM } from '../../../../libs/saga/src/testing.ts';
import { MIGRATION } from '../http/testing/fake-service.ts';
import { memoryLedgers } from '../http/testing/memory-intake.ts';
import type { HeldVm } from '../inventory.ts';
import { SHOWN } from '../users/testing/shown.ts';
import { deleteVm } from './delete-vm.ts';
import { type IntakePorts, intend } from './intake.ts';
import type { MachinePorts } from './machines.ts';
import { restrictVm } from './restrictions.ts';
import { NO_QUOTAS, oneAtATime } from './testing/one-at-a-time.ts';

const FREE: VmRestrictions = { project: 'p', labels: [], level: 0, onward: true, legalHold: false };

/** A VM, a host that does nothing before it is told to, and what was done in the end. */
function world({ consumers = [vmConsumer(VM)], legalHold = false, moving = false } = {}) {
  const done: string[] = [];
  let held: HeldVm | undefined = {
    vm: VM,
    host: hostName.parse('host-1'),
    epoch: 0,
    spec: { ...SPEC, restrictions: { ...FREE, legalHold } },
  };
  const asked = Promise.withResolvers<void>();
  const answer = Promise.withResolvers<void>();
  const alone = oneAtATime();
  const ports = {
    self: 'csp-a.example',
    alone,
    nowMs: () => 0,
    signer: () => ({}),
    roleOf: () => ['administrator'],
    isMoving: async () => moving,
    store: { db: { transaction: () => ({ execute: (work: (tx: object) => unknown) => work({}) }) } },
    inventory: {
      vm: async (vm: VmId) => (vm === VM ? held : undefined),
      restrict: async (_: unknown, restrictions: VmRestrictions) => {
        if (held !== undefined) held = { ...held, spec: { ...held.spec, restrictions } };
      },
      remove: async () => {
        held = undefined;
        done.push('forgotten');
      },
    },
    hosts: {
      sign: (draft: object) => draft,
      ask: async () => {
        asked.resolve();
        await answer.promise;
        done.push('shredded');
        return { status: 'done', result: { step: 'deleteVm' } };
      },
    },
    keys: {
      consumersOf: async () => new Map([[DISK_KEY, consumers]]),
      removeConsumer: async () => undefined,
      operate: async () => {
        done.push('destroyed');
        return { ok: true, value: undefined };
      },
    },
  } as unknown as MachinePorts;
  return { ports, alone, done, asked: asked.promise, answer: answer.resolve, isHeld: () => held !== undefined };
}
const destroyed = async (ports: MachinePorts) => deleteVm(ports, VM, 'administrator');

describe('a deletion', () => {
  it('shreds, then destroys the keys, then forgets', async () => {
    const { ports, done, answer } = world();
    answer();
    expect(await destroyed(ports)).toEqual({ ok: true, value: { vm: VM } });
    expect(done).toEqual(['shredded', 'destroyed', 'forgotten']);
  });

  it.each([
    ['on hold', { legalHold: true }, 'LEGAL_HOLD'],
    ['that is moving', { moving: true }, 'VM_MOVING'],
    ['whose key another one needs', { consumers: [vmConsumer(VM), 'backup:nightly'] }, 'KEY_IN_USE'],
  ])('of a VM %s asks no host', async (_, state, code) => {
    const { ports, done, answer, isHeld } = world(state);
    answer();
    expect(await destroyed(ports)).toMatchObject({ ok: false, code });
    expect([done, isHeld()]).toEqual([[], true]);
  });

  it('grants no hold that it would not keep: while the host shreds, a hold is refused', async () => {
    const { ports, done, asked, answer } = world();
    const deletion = destroyed(ports);
    await asked;
    expect(await restrictVm(ports, VM, { legalHold: true }, { principal: 'operator' })).toMatchObject({ code: 'VM_MOVING' });
    answer();
    expect(await deletion).toMatchObject({ ok: true });
    expect(done).toEqual(['shredded', 'destroyed', 'forgotten']);
  });

  it('waits for nobody who decides about the VM, and leaves it as it is', async () => {
    const { ports, alone, done, answer, isHeld } = world();
    answer();
    const during = await alone(VM, () => destroyed(ports));
    expect(during).toMatchObject({ held: true, value: { ok: false, code: 'VM_MOVING' } });
    expect([done, isHeld()]).toEqual([[], true]);
  });

  it('begins nothing once its right to decide is lost', async () => {
    const { ports, done, answer } = world();
    answer();
    const lost: MachinePorts = { ...ports, alone: async (_, work) => ({ held: true, value: await work(AbortSignal.abort()) }) };
    expect(await destroyed(lost)).toMatchObject({ ok: false, code: 'VM_MOVING' });
    expect(done).toEqual([]);
  });

  it('asks a silent host no more once that right is lost', async () => {
    const { ports, done, isHeld } = world();
    const right = new AbortController();
    let times = 0;
    const ask = async () => {
      times += 1;
      right.abort();
      return { status: 'silent', text: 'no answer' } as const;
    };
    const mine = {
      ...ports,
      alone: async (_: VmId, work: (signal: AbortSignal) => unknown) => ({ held: true, value: await work(right.signal) }),
      hosts: { ...ports.hosts, ask },
    } as MachinePorts;
    expect(await destroyed(mine)).toMatchObject({ ok: false, code: 'VM_MOVING' });
    expect([times, done, isHeld()]).toEqual([1, [], true]);
  });

  it('destroys no key of what was placed on hold since', async () => {
    const { ports, done, asked, answer, isHeld } = world();
    const right = new AbortController();
    const mine: MachinePorts = { ...ports, alone: async (_, work) => ({ held: true, value: await work(right.signal) }) };
    const deletion = destroyed(mine);
    await asked;
    right.abort();
    expect(await restrictVm(ports, VM, { legalHold: true }, { principal: 'operator' })).toMatchObject({ ok: true });
    answer();
    expect(await deletion).toMatchObject({ ok: false, code: 'LEGAL_HOLD' });
    expect([done, isHeld()]).toEqual([['shredded'], true]);
  });

  it('is not overtaken by an intent: that finds the VM gone', async () => {
    const { ports, alone, asked, answer } = world();
    const ledgers = memoryLedgers(ports.self);
    const intake = {
      self: ports.self,
      peers: ['csp-b.example'],
      agreementFault: async () => undefined,
      ledgers,
      alone,
      quotas: NO_QUOTAS,
      inventory: ports.inventory,
      nowMs: () => 0,
    } as unknown as IntakePorts;
    const deletion = destroyed(ports);
    await asked;
    const request = intentRequest.parse({ migration: MIGRATION, vm: VM, target: 'csp-b.example', mode: 'cold' });
    const intent = intend(intake, request, { via: 'token', principal: 'scheduler', digest: '' as never }, SHOWN);
    answer();
    expect([(await deletion).ok, await intent]).toMatchObject([true, { ok: false, code: 'VM_UNKNOWN' }]);
    expect((await ledgers.journeys(VM)).flatMap(({ migrations }) => migrations)).toEqual([]);
  });
});
