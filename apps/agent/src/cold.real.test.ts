import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { eventually, lastTick, tickFoundOnDisk } from '@carnet/dev';
import { vmSpec } from '@carnet/events';
import { CHUNK_BYTES_DEFAULT, uuidOf } from '@carnet/hypervisor';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { loadIdentity } from './identity.ts';
import { anArtifact, ask, aVm, type Commander, createCommander, freshMigration, someEpoch, step } from './testing/commander.ts';
import { A, guestSpec, startTwoHosts, type TwoHosts } from './testing/two-hosts.ts';

const CAPACITY = 64 * 1_048_576;
let hosts: TwoHosts;
let broker: Commander;

beforeAll(async () => {
  hosts = await startTwoHosts();
  broker = await createCommander();
});
afterAll(async () => {
  await broker?.close();
  await hosts?.stop();
});

test('a cold migration: created, stopped, sealed, pulled, unlocked, started elsewhere, retired', async () => {
  const { a, b, guest } = hosts;
  const vm = aVm(A.domain);
  const artifact = anArtifact();
  const key = await broker.createKey(artifact, vm, 'disk');
  const spec = vmSpec.parse(guestSpec(guest, { artifact, target: 'vda', format: 'qcow2', capacityBytes: CAPACITY, key }));
  const of = { vm, migration: freshMigration(), epoch: someEpoch(1) };
  const consoleOf = (host: typeof a) => join(host.dir, uuidOf(vm), 'console.log');
  const until = new Date(Date.now() + 600_000).toISOString();

  await step(a, { vm }, 'createVm', { spec, secrets: [await broker.secret(a, vm, key, 0, 'run')] });
  await step(a, { vm }, 'startVm', { secrets: [await broker.secret(a, vm, key, 0, 'run')] });
  await eventually('the guest to count', () => ((lastTick(consoleOf(a))?.n ?? 0) > 3 ? true : undefined));
  expect(a.machine.virsh('list', '--name').trim()).toBe('demo');

  const { volumes, dataPath } = await step(a, of, 'preflight', { spec, mode: 'cold' });
  await step(b, of, 'reserve', { spec, mode: 'cold', until: until as never });
  const headerDigest = volumes[0]?.headerDigest;
  const locked = async (host: typeof a) => [
    { artifact, capacityBytes: CAPACITY, headerDigest, secret: await broker.secret(host, vm, key, 1, 'trial-unlock') },
  ];
  await step(a, of, 'trialUnlock', { where: 'volumes', volumes: await locked(a) });
  const quiesced = await step(a, of, 'quiesce', { mode: 'cold', graceSeconds: 0 });
  expect(quiesced).toMatchObject({ was: 'running', forced: true });
  const left = lastTick(consoleOf(a));
  const sealed = await step(a, of, 'seal', {
    round: 0,
    chunkBytes: CHUNK_BYTES_DEFAULT,
    artifacts: [{ artifact, kind: 'disk' }],
  });
  await step(a, of, 'serve', {
    round: 0,
    artifacts: [artifact],
    peer: [...loadIdentity(b.config.identity).chain],
    until: until as never,
  });
  const received = await step(b, of, 'receive', {
    round: 0,
    dataPath,
    peer: [...loadIdentity(a.config.identity).chain],
    artifacts: sealed.artifacts,
  });
  expect(received.roots).toEqual(sealed.artifacts.map((one) => ({ artifact: one.artifact, root: one.root })));
  await step(a, of, 'surrender', {});
  expect(a.machine.virsh('secret-list')).not.toContain(key);
  const again = await ask(a.agent.agent, { step: 'startVm', host: a.config.host, vm, body: { secrets: [] } });
  expect(again).toMatchObject({ status: 'refused', code: 'VM_SURRENDERED' });
  await step(b, of, 'trialUnlock', { where: 'staging', volumes: await locked(b) });
  await step(b, of, 'start', { spec, vcpus: 'run', secrets: [await broker.secret(b, vm, key, 1, 'run')] });
  await step(b, of, 'observe', { signs: 'console', withinSeconds: 60 });
  expect(b.machine.virsh('list', '--name').trim()).toBe('demo');
  const found = await eventually('the marker on the disk', () => tickFoundOnDisk(consoleOf(b)));
  expect(found.boot).toBe(left?.boot);
  await step(a, of, 'retire', {});
  expect(a.machine.virsh('list', '--all', '--name').trim()).toBe('');
  expect(existsSync(join(a.dir, uuidOf(vm)))).toBe(false);
  expect(readdirSync(join(b.dir, 'staging'))).toEqual([]);
});
