import { hostName, type VmId } from '@carnet/events';
import { describe, expect, it } from 'vitest';
import { SPEC } from '../../../../libs/saga/src/testing.ts';
import type { HeldVm } from '../inventory.ts';
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

/** A host that answers as told, and what is in the books whenever it is asked. */
function world(replies: Readonly<Record<'createVm' | 'deleteVm', Reply>>) {
  const vms = new Map<VmId, HeldVm>();
  const keys = new Set<string>();
  const asked: string[] = [];
  const alone = oneAtATime();
  const inBooks = (): string => `${vms.size} VMs, ${keys.size} keys`;
  let nowMs = 0;
  const ports = {
    self: 'csp-a.example',
    alone,
    // Whoever waits for a silent host has waited for long.
    nowMs: () => (nowMs += 200_000),
    signer: () => ({}),
    store: { db: { transaction: () => ({ execute: (work: (tx: object) => unknown) => work({}) }) } },
    hostNames: [HOST],
    inventory: {
      vms: async () => [...vms.values()],
      images: async () => [],
      add: async (_: unknown, held: HeldVm) => vms.size < vms.set(held.vm, held).size,
      remove: async (_: unknown, vm: VmId) => void vms.delete(vm),
    },
    hosts: {
      registry: { isUp: () => true, hello: () => undefined },
      sign: (draft: object) => draft,
      ask: async ({ step, vm }: { readonly step: 'createVm' | 'deleteVm'; readonly vm: VmId }) => {
        const isAlone = !(await alone(vm, async () => undefined)).held;
        asked.push(`${step}: ${inBooks()}${isAlone ? ', nobody else decides' : ''}`);
        return { ...replies[step], result: { step } };
      },
    },
    handover: { secretForHost: async () => ({}) },
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
    ['of which the host says nothing', { createVm: SILENT, deleteVm: DONE }, 'HOST_UNAVAILABLE', 1],
    ['that was refused and cannot be cleared up', { createVm: NO_ROOM, deleteVm: SILENT }, 'NO_ROOM', 2],
  ])('%s stays listed, and its asker is told so', async (_, replies, code, asks) => {
    const { created, asked, inBooks } = world(replies);
    expect(await created()).toMatchObject({
      ok: false,
      code,
      text: expect.stringMatching(/csp-a\.example\/.* stays listed: delete it/),
    });
    expect([asked.length, inBooks()]).toEqual([asks, '1 VMs, 2 keys']);
  });

  it('of a name that another has is refused, and its host not asked', async () => {
    const { created, asked } = world({ createVm: DONE, deleteVm: DONE });
    await created();
    expect(await created()).toMatchObject({ ok: false, code: 'VM_EXISTS' });
    expect(asked.length).toBe(1);
  });
});
