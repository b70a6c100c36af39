import { hostName, vmId } from '@carnet/events';
import { expect, it } from 'vitest';
import type { HeldImage } from '../inventory.ts';
import { guarded, type MachinePorts, registerImage, setPower } from './machines.ts';

const HOST = hostName.parse('host-1');
const IMAGE = { name: 'tiny', file: 'tiny.raw' };
const FACTS = { name: 'tiny', digest: 'ab'.repeat(32), sizeBytes: 2, capacityBytes: 3 };
const DONE = { status: 'done', result: { step: 'registerImage', image: FACTS } };
const MISSING = { status: 'refused', code: 'IMPORT_MISSING', text: 'no such file' };

/** One host that answers as told; keys, who needs them, and images as they are in the books. `destroyed`: while the host was at work. */
function world() {
  const images = new Map<string, HeldImage>();
  const keys = new Set<string>();
  const needs: string[] = [];
  const say = { reply: MISSING as object, destroyed: false };
  const ports = {
    self: 'csp-a.example',
    nowMs: () => 0,
    hostNames: [HOST],
    store: {
      db: {
        transaction: () => ({
          execute: async (work: (tx: object) => Promise<unknown>) => {
            const before = [...images];
            try {
              return await work({ isTransaction: true });
            } catch (cause) {
              images.clear();
              for (const [name, image] of before) images.set(name, image);
              throw cause;
            }
          },
        }),
      },
    },
    inventory: {
      images: async () => [...images.values()],
      putImage: async (tx: { readonly isTransaction?: boolean }, image: HeldImage) => {
        if (images.has(image.name)) return false;
        expect(tx.isTransaction, 'in one with the need').toBe(true);
        images.set(image.name, image);
        return true;
      },
    },
    hosts: {
      registry: { isUp: () => true },
      sign: (draft: object) => draft,
      ask: async () => say.reply,
    },
    handover: { secretForHost: async () => ({}) },
    keys: {
      createDek: async ({ key }: { readonly key: string }) => ({
        ok: true,
        value: { record: async () => ({ ok: true, value: keys.add(key) }) },
      }),
      addConsumer: async (_: unknown, key: string, consumer: string) => void needs.push(`${key} ${consumer}`),
      need: async (_: unknown, { key }: { readonly key: string }, consumer: string) =>
        say.destroyed
          ? { ok: false, code: 'KEY_STATE', text: 'destroyed' }
          : { ok: true, value: needs.push(`${key} ${consumer}`) },
    },
  } as unknown as MachinePorts;
  const register = (file = IMAGE.file) => guarded(() => registerImage(ports, { ...IMAGE, file }, 'operator'));
  return { register, say, images, keys, needs };
}

it('an image that its host refuses leaves nothing that needs its key, and succeeds with that key when it is asked again', async () => {
  const { register, say, images, keys, needs } = world();
  expect(await register()).toEqual({ ok: false, code: 'IMPORT_MISSING', text: 'no such file' });
  expect([images.size, needs, keys.size]).toEqual([0, [], 1]);
  say.reply = DONE;
  expect(await register()).toMatchObject({ ok: true, value: { name: 'tiny', digest: FACTS.digest } });
  const [key] = keys;
  expect([keys.size, needs]).toEqual([1, [`${key} image:tiny`]]);
  expect(await register()).toMatchObject({ ok: true });
  expect(needs.length).toBe(1);
});

it('an image whose key was destroyed while it was made is not listed', async () => {
  const { register, say, images } = world();
  Object.assign(say, { reply: DONE, destroyed: true });
  expect(await register()).toMatchObject({ ok: false, code: 'KEY_STATE' });
  expect(images.size).toBe(0);
});

it('of two files under one name, at once, the first is the image; the other’s key is needed by nothing, and its asker told', async () => {
  const { register, say, images, needs } = world();
  say.reply = DONE;
  const [one, other] = await Promise.all([register(), register('other.raw')]);
  expect([one, other]).toMatchObject([{ ok: true }, { ok: false, code: 'IMAGE_EXISTS' }]);
  expect([images.size, needs.length]).toEqual([1, 1]);
});

it('a start that its host has not answered is not asked for again once the VM is taken back', async () => {
  const vm = vmId.parse('csp-b.example/1b4e28ba-2fa1-41d2-883f-0016d3cca427');
  const asked: string[] = [];
  let hasStarted = true;
  const ports = {
    self: 'csp-a.example',
    nowMs: () => 0,
    inventory: { vm: async () => ({ vm, spec: { name: 'tiny', disks: [] }, host: HOST, epoch: 1 }) },
    hosts: {
      registry: { hello: () => undefined },
      sign: (draft: { readonly step: string }) => draft,
      ask: async ({ step }: { readonly step: string }) => {
        asked.push(step);
        hasStarted = asked.length < 2;
        return { status: 'silent', text: 'no answer' };
      },
    },
    handover: {},
    hasStarted: async () => hasStarted,
    isMoving: async () => true,
  } as unknown as MachinePorts;
  expect(await setPower(ports, vm, 'on', 'operator')).toMatchObject({ ok: false, code: 'VM_MOVING' });
  expect(asked).toEqual(['startVm', 'startVm']);
});
