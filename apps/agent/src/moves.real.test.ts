import {
  closeSync,
  existsSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  symlinkSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { join } from 'node:path';
import { eventually, lastTick, tickFoundOnDisk } from '@carnet/dev';
import { type ArtifactId, type KeyId, timestamp, type VmId, type VmSpec, vmSpec } from '@carnet/events';
import { CHUNK_BYTES_DEFAULT, imageContext, type MemorySecret, type SecretPurpose, uuidOf } from '@carnet/hypervisor';
import { loadLeaf } from '@carnet/pki';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import {
  type Attempt,
  anArtifact,
  ask,
  aVm,
  type Commander,
  createCommander,
  freshMigration,
  someEpoch,
  step,
} from './testing/commander.ts';
import { A, guestSpec, type RealHost, startTwoHosts, type TwoHosts } from './testing/two-hosts.ts';

const CAPACITY = 64 * 1_048_576;
const MARKER = 'carnet image, in clear';
/** Offset of the marker: a sector that the guest never writes. */
const SECRET_SECTOR = 16 * 1_048_576;
let hosts: TwoHosts;
let broker: Commander;
let vm: VmId;
let artifact: ArtifactId;
let key: KeyId;
let spec: VmSpec;

beforeAll(async () => {
  hosts = await startTwoHosts();
  broker = await createCommander();
  vm = aVm(A.domain);
  artifact = anArtifact();
  key = await broker.createKey(artifact, vm, 'disk');
  spec = vmSpec.parse(guestSpec(hosts.guest, { artifact, target: 'vda', format: 'qcow2', capacityBytes: CAPACITY, key }));
});
afterAll(async () => {
  await broker?.close();
  await hosts?.stop();
});

const soon = () => timestamp.parse(new Date(Date.now() + 600_000).toISOString());
const chainOf = (host: RealHost) => [...loadLeaf(host.config.identity).chain];
const consoleOf = (host: RealHost): string => join(host.dir, uuidOf(vm), 'serial.log');
const running = (host: RealHost): string => host.machine.virsh('list', '--name').trim();
const defined = (host: RealHost): string => host.machine.virsh('list', '--all', '--name').trim();
const secretsAt = (host: RealHost, epoch: number, of: KeyId = key) => broker.secret(host, vm, of, epoch, 'run').then((s) => [s]);
const attempt = (n: number): Attempt => ({ vm, migration: freshMigration(), epoch: someEpoch(n) });
const memoryFor = async (
  host: RealHost,
  of: Attempt,
  memory: { artifact: ArtifactId; key: KeyId } | undefined,
  purpose: SecretPurpose,
): Promise<{ memory?: MemorySecret }> =>
  memory === undefined
    ? {}
    : { memory: { artifact: memory.artifact, secret: await broker.secret(host, vm, memory.key, of.epoch, purpose) } };

const lockedAt = async (host: RealHost, of: Attempt, headerDigest?: string, with_: KeyId = key) => [
  {
    artifact,
    capacityBytes: CAPACITY,
    ...(headerDigest === undefined ? {} : { headerDigest: headerDigest as never }),
    secret: await broker.secret(host, vm, with_, of.epoch, 'trial-unlock'),
  },
];

/** A plain disk becomes an image of this host, encrypted under a key of its own. */
async function registerImage(host: RealHost) {
  const imageKey = await broker.createKey(anArtifact(), undefined, 'disk');
  const { imports, images } = host.config.directories;
  const disk = Buffer.alloc(CAPACITY / 2);
  disk.write(MARKER, SECRET_SECTOR);
  writeFileSync(join(imports, 'base.raw'), disk);
  const secret = () => broker.secret(host, imageContext(A.domain, imageKey), imageKey, 0, 'run');
  const ordered = async (file: string, name = 'base') =>
    ask(host.agent.agent, {
      step: 'registerImage',
      host: host.config.host,
      body: { name, file, secret: await secret() },
    });
  const { image } = await step(host, {}, 'registerImage', { name: 'base', file: 'base.raw', secret: await secret() });
  expect(image).toMatchObject({ name: 'base', capacityBytes: CAPACITY / 2 });
  expect(await ordered('base.raw')).toMatchObject({ status: 'done', result: { image } });
  expect((await step(host, {}, 'listImages', {})).images).toEqual([image]);
  expect((await step(host, {}, 'verifyImage', { name: 'base' })).image).toEqual(image);
  const stored = readFileSync(join(images, 'base', 'image.qcow2'));
  expect([stored.includes(MARKER), stored.includes('LUKS')]).toEqual([false, true]);
  symlinkSync('base.raw', join(imports, 'link.raw'));
  mkdirSync(join(imports, 'folder.raw'));
  writeFileSync(join(imports, 'short.raw'), Buffer.alloc(1_048_577));
  expect(await ordered('link.raw', 'x')).toMatchObject({ status: 'refused', code: 'IMPORT_REFUSED' });
  expect(await ordered('folder.raw', 'x')).toMatchObject({ status: 'refused', code: 'IMPORT_REFUSED' });
  expect(await ordered('short.raw', 'x')).toMatchObject({ status: 'refused', code: 'IMPORT_SIZE' });
  expect(await ordered('absent.raw', 'x')).toMatchObject({ status: 'refused', code: 'IMPORT_MISSING' });
  expect(readdirSync(images)).toEqual(['base']);
  return { image: image.name, imageKey };
}

/** A byte of an image's content changes on the disk: verification says so, and so does the next who would clone its header. */
async function tamperWith(host: RealHost, offset: number): Promise<void> {
  const file = openSync(join(host.config.directories.images, 'base', 'image.qcow2'), 'r+');
  writeSync(file, Buffer.of(0x55), 0, 1, offset);
  closeSync(file);
  const verify = { step: 'verifyImage', host: host.config.host, body: { name: 'base' } };
  expect(await ask(host.agent.agent, verify)).toMatchObject({ status: 'refused', code: 'IMAGE_TAMPERED' });
}

/** From agreement to verified ciphertext at the target. */
async function move(from: RealHost, to: RealHost, of: Attempt, memory?: { artifact: ArtifactId; key: KeyId }) {
  const mode = memory === undefined ? 'cold' : 'suspend';
  const { volumes, dataPath } = await step(from, of, 'preflight', { spec, mode });
  const headerDigest = volumes[0]?.headerDigest;
  await step(to, of, 'reserve', { spec, mode, until: soon() });
  await step(from, of, 'trialUnlock', { where: 'volumes', volumes: await lockedAt(from, of, headerDigest) });
  await step(from, of, 'quiesce', { mode, graceSeconds: 0, ...(await memoryFor(from, of, memory, 'seal')) });
  const left = lastTick(consoleOf(from));
  const artifacts = [
    { artifact, kind: 'disk' as const },
    ...(memory === undefined ? [] : [{ artifact: memory.artifact, kind: 'memory' as const }]),
  ];
  const sealed = await step(from, of, 'seal', { round: 0, chunkBytes: CHUNK_BYTES_DEFAULT, artifacts });
  await step(from, of, 'serve', { round: 0, artifacts: artifacts.map((one) => one.artifact), peer: chainOf(to), until: soon() });
  // Nobody asks a source to serve twice: after a restart it must go on by itself.
  await from.reopen();
  const received = await step(to, of, 'receive', { round: 0, dataPath, peer: chainOf(from), artifacts: sealed.artifacts });
  expect(received.roots).toEqual(sealed.artifacts.map((one) => ({ artifact: one.artifact, root: one.root })));
  return { left, headerDigest };
}

describe('one VM between two real hosts', () => {
  test('is created encrypted, and runs', async () => {
    const { a } = hosts;
    const { image, imageKey } = await registerImage(a);
    const from = { image, secret: await broker.secret(a, vm, imageKey, 0, 'run') };
    await step(a, { vm }, 'createVm', { spec, from, secrets: await secretsAt(a, 0) });
    await tamperWith(a, 300_000);
    await step(a, { vm }, 'startVm', { secrets: await secretsAt(a, 0) });
    await eventually('the guest to count', () => ((lastTick(consoleOf(a))?.n ?? 0) > 3 ? true : undefined));
    expect(running(a)).toBe('demo');
  });

  test('cold: the guest boots elsewhere and finds its marker on the disk', async () => {
    const { a, b } = hosts;
    const of = attempt(1);
    const { left, headerDigest } = await move(a, b, of);
    await step(a, of, 'surrender', {});
    expect(a.machine.virsh('secret-list')).not.toContain(key);
    expect(await ask(a.agent.agent, { step: 'startVm', host: a.config.host, vm, body: { secrets: [] } })).toMatchObject({
      status: 'refused',
      code: 'VM_SURRENDERED',
    });
    await step(b, of, 'trialUnlock', { where: 'staging', volumes: await lockedAt(b, of, headerDigest) });
    await step(b, of, 'start', { spec, vcpus: 'run', secrets: await secretsAt(b, 1) });
    await step(b, of, 'observe', { signs: 'console', withinSeconds: 60 });
    expect([running(a), running(b)]).toEqual(['', 'demo']);
    const found = await eventually('the marker on the disk', () => tickFoundOnDisk(consoleOf(b)));
    expect(found.boot).toBe(left?.boot);
    await step(a, of, 'retire', {});
    expect(defined(a)).toBe('');
    expect(existsSync(join(a.dir, uuidOf(vm)))).toBe(false);
    expect(readdirSync(join(b.dir, 'staging'))).toEqual([]);
  });

  test('suspend: the guest goes on counting with the same boot id', async () => {
    const { a, b } = hosts;
    const of = attempt(2);
    await eventually('the guest to count', () => ((lastTick(consoleOf(b))?.n ?? 0) > 3 ? true : undefined));
    const state = anArtifact();
    const memory = { artifact: state, key: await broker.createKey(state, vm, 'memory') };
    const { left } = await move(b, a, of, memory);
    expect(readdirSync(b.config.directories.tmpfs)).toEqual([]);
    await step(b, of, 'surrender', {});
    await step(a, of, 'start', {
      spec,
      vcpus: 'run',
      secrets: await secretsAt(a, 2),
      ...(await memoryFor(a, of, memory, 'unseal')),
    });
    await step(a, of, 'observe', { signs: 'console', withinSeconds: 60 });
    const now = await eventually('the guest to go on', () => lastTick(consoleOf(a)));
    expect(now.boot).toBe(left?.boot);
    expect(now.n).toBeGreaterThan(left?.n ?? Number.POSITIVE_INFINITY);
    expect(readdirSync(a.config.directories.tmpfs)).toEqual([]);
    await step(b, of, 'retire', {});
    expect([running(a), defined(b)]).toEqual(['demo', '']);
  });

  test('rolled back: the volume does not open at the target, which swears and destroys; the source resumes with its memory', async () => {
    const { a, b } = hosts;
    const of = attempt(3);
    const state = anArtifact();
    const memory = { artifact: state, key: await broker.createKey(state, vm, 'memory') };
    const other = await broker.createKey(anArtifact(), vm, 'disk');
    const { left } = await move(a, b, of, memory);
    await step(a, of, 'surrender', {});
    const unlock = { where: 'staging', volumes: await lockedAt(b, of, undefined, other) };
    expect(await ask(b.agent.agent, { step: 'trialUnlock', host: b.config.host, ...of, body: unlock })).toMatchObject({
      status: 'refused',
      code: 'LUKS_DOES_NOT_OPEN',
    });
    await step(b, of, 'forswear', {});
    await step(b, of, 'destroy', {});
    expect(readdirSync(b.dir)).toEqual(['staging']);
    expect(readdirSync(join(b.dir, 'staging'))).toEqual([]);
    const back = { secrets: await secretsAt(a, 3), ...(await memoryFor(a, of, memory, 'unseal')) };
    const event = 'c'.repeat(64);
    const resume = (kind: string) =>
      ask(a.agent.agent, { step: 'resume', host: a.config.host, ...of, body: { proof: { kind, event }, ...back } });
    expect(await resume('withdrawn')).toMatchObject({ status: 'refused', code: 'PROOF_MISSING' });
    expect(await resume('relinquished')).toMatchObject({ status: 'done', result: { ran: true } });
    const now = await eventually('the guest to go on', () => {
      const tick = lastTick(consoleOf(a));
      return tick !== undefined && tick.n > (left?.n ?? 0) ? tick : undefined;
    });
    expect(now.boot).toBe(left?.boot);
    expect([running(a), defined(b)]).toEqual(['demo', '']);
  });

  test('libvirtd killed: the VM runs on, the hello names the lost secrets, and they are provided again', async () => {
    const { a } = hosts;
    await hosts.asStarter(async () => {
      await a.machine.kill('SIGKILL');
      await a.machine.restart();
    });
    const hello = await eventually('the agent to be back', async () => {
      const said = await a.agent.agent.hello();
      return said.secretsMissing.length > 0 ? said : undefined;
    });
    expect(hello.secretsMissing).toEqual([{ vm, keys: [key] }]);
    expect(running(a)).toBe('demo');
    await step(a, { vm }, 'provideSecrets', { secrets: await secretsAt(a, 0) });
    expect((await a.agent.agent.hello()).secretsMissing).toEqual([]);
    expect(a.machine.virsh('secret-list')).toContain(key);
  });

  test('a restarted agent knows what it swore and what it did', async () => {
    const { b } = hosts;
    await b.reopen();
    const late = { ...attempt(2), vm };
    expect(await ask(b.agent.agent, { step: 'retire', host: b.config.host, ...late, body: {} })).toMatchObject({
      status: 'refused',
      code: 'EPOCH_FENCED',
    });
    const again = await ask(b.agent.agent, {
      step: 'reserve',
      host: b.config.host,
      ...late,
      epoch: 3,
      body: { spec, mode: 'cold', until: soon() },
    });
    expect(again).toMatchObject({ status: 'refused', code: 'VM_FORSWORN' });
  });
});
