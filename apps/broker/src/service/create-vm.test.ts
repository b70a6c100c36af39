import { hostName, type VmId } from '@carnet/events';
import { describe, expect, it } from 'vitest';
import { SPEC } from '../../../../libs/saga/src/testing.ts';
import type { HeldVm } from '../inventory.ts';
import { KeyRefused } from '../keys/handover-keys.ts';
import { createVm } from './create-vm.ts';
import type { MachinePorts } from './machines.ts';
import type { CreateVmRequest } from './service.ts';
import { oneAtATime } from './testing/one-at-a-time.ts';

const REQUEST: CreateVmRequest = {
  name: 'web-1',
  capacityBytes: 1_048_576,
  vcpus: 1,
  memoryMiB: 128,
  boot: SPEC.boot,
  start: false,
  vtpm: true,
};
const HOST = hostName.parse('host-1');
type Reply = { readonly status: 'done' | 'refused' | 'silent'; readonly code?: string; readonly text?: string };
const DONE: Reply = { status: 'done' };
const NO_ROOM: Reply = { status: 'refused', code: 'NO_ROOM', text: 'no room' };
const SILENT: Reply = { status: 'silent', text: 'host host-1 did not answer' };

type State = {
  /** Whether the key manager gives the keys out. */
  readonly secrets?: boolean;
  /** The right to decide about the VM is lost meanwhile. */
  readonly loses?: boolean;
  readonly isUp?: boolean;
  /** How often the host is too busy first. */
  readonly busy?: number;
};

/** A host that answers as told, and what is in the books whenever it is asked. */
function world(
  replies: Readonly<Record<'createVm' | 'deleteVm', Reply>>,
  { secrets = true, loses = false, isUp = true, busy = 0 }: State = {},
) {
  const vms = new Map<VmId, HeldVm>();
  const keys = new Set<string>();
  const asked: string[] = [];
  const line = oneAtATime();
  const alone: typeof line = (vm, work) => line(vm, (signal) => work(loses ? AbortSignal.abort() : signal));
  let refusals = busy;
  const inBooks = (): string => `${vms.size} VMs, ${keys.size} keys`;
  let nowMs = 0;
  const ports = {
    self: 'csp-a.example',
    alone,
    // Whoever waits for a silent host has waited for long.
    nowMs: () => (nowMs += 50_000),
    signer: () => ({}),
    store: { db: { transaction: () => ({ execute: (work: (tx: object) => unknown) => work({}) }) } },
    hostNames: [HOST],
    inventory: {
      vm: async (vm: VmId) => vms.get(vm),
      vms: async () => [...vms.values()],
      images: async () => [],
      add: async (_: unknown, held: HeldVm) => vms.size < vms.set(held.vm, held).size,
      remove: async (_: unknown, vm: VmId) => void vms.delete(vm),
    },
    hosts: {
      registry: { isUp: () => isUp, hello: () => undefined, isSettled: () => true },
      sign: (draft: object) => draft,
      ask: async ({ step, vm }: { readonly step: 'createVm' | 'deleteVm'; readonly vm: VmId }) => {
        if (refusals-- > 0) return { status: 'refused', code: 'HOST_BUSY', text: 'busy' };
        const isAlone = !(await line(vm, async () => undefined)).held;
        asked.push(`${step}: ${inBooks()}${isAlone ? ', nobody else decides' : ''}`);
        return { ...replies[step], result: { step } };
      },
    },
    handover: {
      secretForHost: async () => {
        if (!secrets) throw new KeyRefused('KEY_NOT_ACTIVE', 'suspended');
        return {};
      },
    },
    keys: {
      createDek: async ({ key }: { readonly key: string }) => ({
        ok: true,
        value: { record: async () => ({ ok: true, value: keys.add(key) }) },
      }),
      removeConsumer: async () => undefined,
      operate: async (_: unknown, { key }: { readonly key: string }) => ({ ok: true, value: keys.delete(key) }),
    },
  } as unknown as MachinePorts;
  return { created: () => createVm(ports, REQUEST, 'operator'), asked, inBooks };
}

describe('a new VM', () => {
  it('is in the books, with its keys, before its host hears of it, and nobody else decides about it', async () => {
    const { created, asked, inBooks } = world({ createVm: DONE, deleteVm: DONE });
    expect(await created()).toMatchObject({ ok: true, value: { host: HOST, state: 'shutoff', epoch: 0 } });
    expect([asked, inBooks()]).toEqual([['createVm: 1 VMs, 2 keys, nobody else decides'], '1 VMs, 2 keys']);
  });

  it('that its host refuses leaves nothing: what was begun goes first', async () => {
    const { created, asked, inBooks } = world({ createVm: NO_ROOM, deleteVm: DONE });
    expect(await created()).toEqual({ ok: false, code: 'NO_ROOM', text: 'no room' });
    expect([asked.length, asked[1], inBooks()]).toEqual([2, 'deleteVm: 1 VMs, 2 keys, nobody else decides', '0 VMs, 0 keys']);
  });

  it.each([
    ['of which the host says nothing', { createVm: SILENT, deleteVm: DONE }, 'HOST_UNAVAILABLE', ['createVm']],
    ['that was refused and cannot be cleared up', { createVm: NO_ROOM, deleteVm: SILENT }, 'NO_ROOM', ['createVm', 'deleteVm']],
  ])('%s stays listed, and its asker is told so', async (_, replies, code, steps) => {
    const { created, asked, inBooks } = world(replies);
    expect(await created()).toMatchObject({
      ok: false,
      code,
      text: expect.stringMatching(/csp-a\.example\/.* stays listed: delete it/),
    });
    expect([...new Set(asked.map((line) => line.split(':')[0]))]).toEqual(steps);
    expect(inBooks()).toBe('1 VMs, 2 keys');
  });

  it('whose keys are not given out leaves nothing, and no host hears of it', async () => {
    const { created, asked, inBooks } = world({ createVm: DONE, deleteVm: DONE }, { secrets: false });
    await expect(created()).rejects.toThrow('suspended');
    expect([asked, inBooks()]).toEqual([[], '0 VMs, 0 keys']);
  });

  it('is not begun for a host that is not up', async () => {
    const { created, asked, inBooks } = world({ createVm: DONE, deleteVm: DONE }, { isUp: false });
    expect(await created()).toMatchObject({ ok: false, code: 'HOST_UNAVAILABLE' });
    expect([asked, inBooks()]).toEqual([[], '0 VMs, 0 keys']);
  });

  it('is not cleared up by who may not decide about it any more', async () => {
    const { created, asked, inBooks } = world({ createVm: NO_ROOM, deleteVm: DONE }, { loses: true });
    expect(await created()).toMatchObject({ ok: false, code: 'NO_ROOM', text: expect.stringContaining('stays listed') });
    expect([asked.length, inBooks()]).toEqual([1, '1 VMs, 2 keys']);
  });

  it('is asked for again while its host is busy', async () => {
    const { created, inBooks } = world({ createVm: DONE, deleteVm: DONE }, { busy: 2 });
    expect(await created()).toMatchObject({ ok: true });
    expect(inBooks()).toBe('1 VMs, 2 keys');
  });

  it('of a name that another has is refused, and its host not asked', async () => {
    const { created, asked } = world({ createVm: DONE, deleteVm: DONE });
    await created();
    expect(await created()).toMatchObject({ ok: false, code: 'VM_EXISTS' });
    expect(asked.length).toBe(1);
  });
});
