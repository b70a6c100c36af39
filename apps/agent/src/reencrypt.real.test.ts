import { closeSync, linkSync, mkdirSync, openSync, readFileSync, rmSync, writeSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import {
  buildGuest,
  DevError,
  daemonEnv,
  eventually,
  type Host,
  lastTick,
  privateDir,
  runAs,
  runOnce,
  scratch,
  startHost,
  systemTool,
  tickFoundOnDisk,
} from '@carnet/dev';
import { artifactId, digest, epoch, hostName, PAYLOAD_TYPES, timestamp, trustDomain, vmId, vmSpec } from '@carnet/events';
import {
  createHostAgent,
  fakeHost,
  type HostAgent,
  type HostPorts,
  type Hypervisor,
  hostCommand,
  hostPaths,
  libvirtHypervisor,
  nodeFiles,
  qemuVolumes,
} from '@carnet/hypervisor';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { guard, luksPlace } from './header-guard.ts';

/**
 * A real guest, whose disk came under the source's key, is encrypted again while it runs. qemu-io is the oracle of who reads what. The attacker
 * is the source: it kept passphrase and LUKS header, and gets at the target's file later.
 */
const VM = vmId.parse('csp-a.example/33333333-3333-4333-8333-333333333333');
const NAME = 'walker';
const DISK = artifactId.parse('11111111-1111-4111-8111-111111111111');
const CAPACITY = 16 * 1_048_576;
const OLD = { key: '22222222-2222-4222-8222-222222222222', sealed: Buffer.alloc(32, 7).toString('base64') };
const NEW = { key: '55555555-5555-4555-8555-555555555555', sealed: Buffer.alloc(32, 8).toString('base64') };
const passphraseOf = ({ sealed }: typeof OLD): string => Buffer.from(sealed, 'base64').toString('hex');
const DEADLINE = '2030-01-01T00:00:00.000Z';
const MIGRATION = { migration: '0190aaaa-0000-7000-8000-000000000001', epoch: 1, because: 'b'.repeat(64) };
const log = { debug: () => undefined, info: () => undefined, warn: () => undefined, error: () => undefined };

let machine: Host;
let agent: HostAgent;
let hypervisor: Hypervisor;
/** What happens right after these calls of libvirt, once. */
const afterwards = new Map<string, () => Promise<void> | void>();
let place: string;
let console: string;
let tmpfsDir: string;

/** qemu-img and libvirtd's guests share files: this process has the host's effective ids while it is the agent. */
function becomeHost(): void {
  if (!machine.as.identity.switched) return;
  process.setegid?.(machine.as.identity.gid);
  process.seteuid?.(machine.as.identity.uid);
}
function becomeRoot(): void {
  if (!machine.as.identity.switched) return;
  process.seteuid?.(0);
  process.setegid?.(0);
}

const watched = (real: Hypervisor): Hypervisor => {
  const then = async (name: string): Promise<void> => {
    const work = afterwards.get(name);
    afterwards.delete(name);
    await work?.();
  };
  return {
    ...real,
    copyDisk: (...args) => real.copyDisk(...args).then(() => then('copyDisk')),
    pivotDisk: (...args) => real.pivotDisk(...args).then(() => then('pivotDisk')),
  };
};

let commands = 0;
async function ask(step: string, body: object, attempt = 1) {
  commands += 1;
  const command = hostCommand.parse({
    id: `00000000-0000-4000-8000-${String(commands).padStart(12, '0')}`,
    host: 'b1',
    deadline: DEADLINE,
    step,
    vm: VM,
    ...(['start', 'reencrypt'].includes(step) ? { ...MIGRATION, attempt } : {}),
    ...(['start', 'startVm'].includes(step) ? { permit: permit() } : {}),
    body,
  });
  for (;;) {
    const reply = await agent.handle(command);
    if (reply.status !== 'running') return reply;
  }
}
/** The fake that keeps permits looks at no signature, and this libvirtd has no hook. */
const permit = () => ({
  payloadType: PAYLOAD_TYPES.runPermit,
  payload: Buffer.from(JSON.stringify({ host: 'b1', vm: VM, epoch: 1, time: DEADLINE })).toString('base64'),
  signatures: [{ keyid: 'fake', sig: Buffer.alloc(32).toString('base64') }],
});
const reencrypt = (attempt = 1) =>
  ask('reencrypt', { volumes: [{ artifact: DISK, capacityBytes: CAPACITY, from: OLD, to: NEW }] }, attempt);

beforeEach(async () => {
  const root = scratch('re');
  const as = runAs();
  const guest = buildGuest({ dir: join(root, 'guest') });
  // A host's catalogue of boot images: each under its digest.
  linkSync(guest.kernel, join(root, 'guest', guest.kernelSha256));
  linkSync(guest.initrd, join(root, 'guest', guest.initrdSha256));
  machine = await startHost({
    dir: join(root, 'h'),
    name: 'h',
    user: as.identity.name,
    hostUuid: '00000001-aaaa-4bbb-8ccc-000000000002',
  });
  tmpfsDir = privateDir(`/dev/shm/carnet-reencrypt-${process.pid}`, as);
  becomeHost();
  hypervisor = libvirtHypervisor({
    transport: { kind: 'unix', path: machine.socket },
    uri: 'qemu:///session',
    machine: { emulator: '/usr/bin/qemu-system-x86_64', accelerator: 'tcg' },
    clock: { now: () => timestamp.parse('2026-11-23T10:00:00.000Z'), sleep: (ms, signal) => sleep(ms, undefined, { signal }) },
    random: Math.random,
    log,
  });
  const paths = hostPaths({
    stateDir: join(machine.dirs.data, 's'),
    volumesDir: machine.dirs.disks,
    tmpfsDir,
    bootDir: join(root, 'guest'),
    importDir: join(machine.dirs.data, 'i'),
    vtpmDir: machine.swtpm,
  });
  const [domain, host] = [trustDomain.parse('csp-b.example'), hostName.parse('b1')];
  const clock = {
    now: () => timestamp.parse('2026-11-23T10:00:00.000Z'),
    sleep: (ms: number, signal: AbortSignal) => sleep(ms, undefined, { signal }),
  };
  const fake = fakeHost({ domain, host, clock });
  const volumes = qemuVolumes({ qemuImg: '/usr/bin/qemu-img', qemuIo: '/usr/bin/qemu-io', tmpfsDir }, log);
  const artifacts = { ...fake.ports.artifacts, guard, luksPlace };
  const ports: HostPorts = { ...fake.ports, paths, files: nodeFiles, volumes, artifacts, hypervisor: watched(hypervisor) };
  agent = createHostAgent({
    domain,
    host,
    ports,
    hello: { agent: '00000000-0000-4000-8000-000000000001', publicKey: '', chain: [''] },
  });
  [place, console] = [paths.volume(VM, DISK), paths.console(VM)];
  const staged = paths.staged(VM, epoch.parse(1), DISK);
  mkdirSync(dirname(staged), { recursive: true });
  await volumes.createBlank(staged, CAPACITY, Buffer.from(passphraseOf(OLD)));
  const boot = {
    kind: 'kernel',
    kernel: digest.parse(guest.kernelSha256),
    initrd: digest.parse(guest.initrdSha256),
    cmdline: guest.commandLine,
  };
  const disk = { artifact: DISK, target: 'vda', format: 'qcow2', capacityBytes: CAPACITY, key: OLD.key };
  const of = { name: NAME, vcpus: 1, memoryMiB: 192, machine: 'pc-q35-7.2', cpuModel: 'qemu64', boot, disks: [disk] };
  expect(await ask('start', { spec: vmSpec.parse(of), vcpus: 'run', secrets: [OLD] })).toMatchObject({ status: 'done' });
  await eventually('a guest that ticks', () => lastTick(console), 120_000);
}, 180_000);

afterEach(async () => {
  afterwards.clear();
  await hypervisor?.close();
  becomeRoot();
  await machine?.stop();
  rmSync(tmpfsDir, { recursive: true, force: true });
});

const qemu = (tool: string, ...args: readonly string[]): string => runOnce(machine.as, [systemTool(tool), ...args], daemonEnv);
/** The text of the first sector, by QEMU's own tool; undefined when the passphrase does not open the volume. */
function firstSector(secret: typeof OLD): string | undefined {
  const object = ['--object', `secret,id=k,data=${passphraseOf(secret)}`];
  const image = `driver=qcow2,file.driver=file,file.filename=${place},encrypt.format=luks,encrypt.key-secret=k`;
  try {
    return qemu('qemu-io', '-r', ...object, '-c', 'read -v 0 512', '--image-opts', image)
      .split('\n')
      .map((line) => line.slice(-16))
      .join('');
  } catch (error) {
    if (error instanceof DevError && error.message.includes('Invalid password')) return undefined;
    throw error;
  }
}
/** qemu-io prints a dot for what is neither letter nor digit. */
const countIn = (sector: string | undefined, boot: string): number =>
  Number(new RegExp(`TICK.boot.${boot.replaceAll('-', '.')}.n.(\\d+)\\.`).exec(sector ?? '')?.[1] ?? Number.NaN);

async function headerIn(path: string): Promise<{ readonly offset: number; readonly header: Buffer }> {
  const found = await luksPlace(path);
  if (!found.ok) throw new Error(JSON.stringify(found.setback));
  const { offset, bytes } = found.value;
  return { offset, header: readFileSync(path).subarray(offset, offset + bytes) };
}

it('the guest goes on counting, its new volume opens with the new key alone, and with no header that the source kept', async () => {
  const kept = await headerIn(place);
  const before = await eventually('a tick', () => lastTick(console));
  expect(await reencrypt()).toMatchObject({ status: 'done', result: { step: 'reencrypt', volumes: [{ artifact: DISK }] } });
  const at = lastTick(console);
  const after = await eventually('ticks on the new volume', () => {
    const tick = lastTick(console);
    return tick !== undefined && at !== undefined && tick.n > at.n + 5 ? tick : undefined;
  });
  expect([after.boot, after.n > before.n]).toEqual([before.boot, true]);
  expect(await ask('stopVm', { graceSeconds: 0 })).toMatchObject({ status: 'done' });
  expect(countIn(firstSector(NEW), before.boot)).toBeGreaterThanOrEqual(after.n);
  expect(firstSector(OLD)).toBeUndefined();

  // It starts again with the new key, on what it wrote.
  expect(await ask('startVm', { secrets: [NEW], epoch: 1 })).toMatchObject({ status: 'done' });
  const found = await eventually('a guest that found its disk', () => tickFoundOnDisk(console), 60_000);
  expect(found.boot).toBe(before.boot);
  expect(await ask('stopVm', { graceSeconds: 0 })).toMatchObject({ status: 'done' });

  // The attacker's move: the old header over the one that is there now.
  const { offset } = await headerIn(place);
  const file = openSync(place, 'r+');
  writeSync(file, kept.header, 0, kept.header.length, offset);
  closeSync(file);
  expect(firstSector(NEW)).toBeUndefined();
  expect(firstSector(OLD)).not.toContain('TICK');
}, 240_000);

it('libvirtd dies when the copy has begun: the guest does not notice, and it is done at the next try', async () => {
  const before = await eventually('a tick', () => lastTick(console));
  afterwards.set('copyDisk', () => machine.kill('SIGKILL'));
  expect(await reencrypt()).toMatchObject({ status: 'failed' });
  becomeRoot();
  await machine.restart();
  becomeHost();
  await eventually('libvirt again', () => (hypervisor.connection().connected ? true : undefined), 60_000);
  expect(await ask('provideSecrets', { secrets: [OLD] })).toMatchObject({ status: 'done' });
  expect(await reencrypt(2)).toMatchObject({ status: 'done' });
  const after = await eventually('a tick', () => {
    const tick = lastTick(console);
    return tick !== undefined && tick.n > before.n ? tick : undefined;
  });
  expect(after.boot).toBe(before.boot);
  expect(await ask('stopVm', { graceSeconds: 0 })).toMatchObject({ status: 'done' });
  expect([countIn(firstSector(NEW), before.boot) >= after.n, firstSector(OLD)]).toEqual([true, undefined]);
}, 240_000);

it('QEMU dies between the pivot and the change of names: nothing that the guest wrote is lost, and its volume is new all the same', async () => {
  const { boot } = await eventually('a tick', () => lastTick(console));
  const pidFile = join(machine.dirs.run, 'libvirt', 'qemu', 'run', `${NAME}.pid`);
  afterwards.set('pivotDisk', async () => {
    process.kill(Number(readFileSync(pidFile, 'utf8').trim()), 'SIGKILL');
    await eventually('a guest that is gone', () => (machine.virsh('list', '--name').includes(NAME) ? undefined : true), 30_000);
  });
  let reply = await reencrypt();
  for (let attempt = 2; attempt < 4 && reply.status !== 'done'; attempt++) reply = await reencrypt(attempt);
  expect(reply).toMatchObject({ status: 'done' });
  const last = lastTick(console);
  expect(countIn(firstSector(NEW), boot)).toBeGreaterThanOrEqual(last?.n ?? Number.NaN);
  expect(firstSector(OLD)).toBeUndefined();
  expect(await ask('startVm', { secrets: [NEW], epoch: 1 })).toMatchObject({ status: 'done' });
  await eventually('the guest again', () => (lastTick(console)?.boot === boot ? undefined : true), 120_000);
}, 240_000);
