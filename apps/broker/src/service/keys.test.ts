import { generateKeyPairSync, randomUUID } from 'node:crypto';
import { vmId } from '@carnet/events';
import { ed25519Signer } from '@carnet/trust';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { begin, inlineProcess, openSide, type Side, type Story, snapshot } from '../../../../libs/keys/src/testing.ts';
import { createKeyService, type KeyServicePorts } from './keys.ts';

const signer = ed25519Signer(generateKeyPairSync('ed25519').privateKey);
const CHANGE = { reason: 'an audit', code: 'unspecified' } as const;
let a: Side;
let b: Side;
let story: Story;
beforeAll(async () => {
  [a, b] = await Promise.all([openSide({ process: inlineProcess() }), openSide({ process: inlineProcess() })]);
  story = await begin(a, b);
}, 60_000);
afterAll(async () => {
  await a.close();
  await b.close();
});

const disk = () => story.keys[0]?.key ?? '';

/** The custodian's door over a real key manager; `moving`: a migration of the VM is open. */
function service({ moving = false, held = true } = {}) {
  const told: number[] = [];
  const vm = held ? { vm: story.handover.vm, spec: { disks: [{ key: disk() }] } } : undefined;
  const ports = {
    self: story.handover.source,
    keys: a.keys,
    store: a.store,
    journal: { eventsOfMigrations: async () => [] },
    inventory: { images: async () => [], vm: async () => vm },
    isMoving: async () => moving,
    signer: () => signer,
    tell: () => void told.push(1),
  } as unknown as KeyServicePorts;
  return { keys: createKeyService(ports), told };
}

async function refused(work: Promise<unknown>, code: string): Promise<void> {
  const before = await snapshot(a);
  expect(await work).toMatchObject({ ok: false, code });
  expect(await snapshot(a)).toBe(before);
}

describe('the custodian’s door', () => {
  it('changes a state, signs it, and wakes who tells the peers', async () => {
    const { keys, told } = service();
    expect(await keys.changeKey(disk(), 'suspend', CHANGE, 'eve')).toMatchObject({ ok: true, value: { state: 'suspended' } });
    const resumed = await keys.changeKey(disk(), 'resume', CHANGE, 'eve');
    expect(resumed).toMatchObject({ ok: true, value: { state: 'active', historyChain: 'intact', project: 'shop' } });
    if (resumed.ok) expect(resumed.value.history.at(-1)).toMatchObject({ actor: 'eve', signature: { signatures: [{}] } });
    expect(told).toHaveLength(2);
  });

  it('refuses a key whose VM is in a migration, before any deposit', () =>
    refused(service({ moving: true }).keys.changeKey(disk(), 'suspend', CHANGE, 'eve'), 'KEY_MOVING'));

  it('names the consumers of a key that is not destroyed', async () => {
    const { keys } = service();
    const answer = keys.changeKey(disk(), 'destroy', CHANGE, 'eve');
    await refused(answer, 'KEY_IN_USE');
    expect(await answer).toMatchObject({ text: expect.stringContaining(`vm:${story.handover.vm}`) });
  });

  it('refuses unknown keys, projects and rotations', async () => {
    const { keys } = service();
    await refused(keys.changeKey(randomUUID(), 'suspend', CHANGE, 'eve'), 'KEY_UNKNOWN');
    await refused(keys.changeKey('../../etc', 'suspend', CHANGE, 'eve'), 'KEY_UNKNOWN');
    await refused(keys.rotateProject('other', { reason: 'x' }, 'eve'), 'PROJECT_UNKNOWN');
    await refused(keys.rotateProject('No Such', { reason: 'x' }, 'eve'), 'PROJECT_UNKNOWN');
    await refused(keys.rotateProject('shop', { reason: 'x', version: 7 }, 'eve'), 'ROTATION_UNKNOWN');
  });

  it('consumers: a VM that is not here is none, and one whose disk opens with the key stays one', async () => {
    const { vm } = story.handover;
    await refused(service({ held: false }).keys.addKeyConsumer(disk(), vm), 'VM_UNKNOWN');
    await refused(service().keys.removeKeyConsumer(disk(), vm), 'KEY_IN_USE');
    expect(await service({ held: false }).keys.removeKeyConsumer(disk(), vm)).toMatchObject({
      ok: true,
      value: { consumers: [] },
    });
    expect(await service().keys.addKeyConsumer(disk(), vm)).toMatchObject({ ok: true, value: { consumers: [`vm:${vm}`] } });
  });

  it('a key of one VM takes no other VM for a consumer', async () => {
    const { vm } = story.handover;
    await refused(
      service().keys.addKeyConsumer(disk(), vmId.parse(`${vm.slice(0, -1)}${vm.endsWith('0') ? '1' : '0'}`)),
      'CONSUMER_FOREIGN',
    );
  });

  it('rotates by batches and says that none is left', async () => {
    const { keys } = service();
    expect(await keys.rotateProject('shop', { reason: 'yearly' }, 'eve')).toEqual({
      ok: true,
      value: { project: 'shop', version: 2, deks: 2, secrets: 0, outside: 0, left: 0, done: true, destroyed: [1] },
    });
    expect(await keys.verifyKeyUses()).toMatchObject({ intact: true });
  });
});
