import { execFileSync } from 'node:child_process';
import { closeSync, mkdirSync, mkdtempSync, openSync, readFileSync, rmSync, writeFileSync, writeSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { artifactId, epoch, hostName, timestamp, trustDomain, vmId } from '@carnet/events';
import { createHostAgent, fakeHost, type HostPorts, hostCommand, hostPaths, nodeFiles, qemuVolumes } from '@carnet/hypervisor';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { guard, luksPlace } from './header-guard.ts';

/**
 * Who can still read what: qemu-img and qemu-io are the oracle. The attacker is the source: it kept the passphrase and the LUKS
 * header of the volume that it gave away, and gets at the target's file later.
 */
const VM = vmId.parse('csp-a.example/33333333-3333-4333-8333-333333333333');
const DISK = artifactId.parse('11111111-1111-4111-8111-111111111111');
const CAPACITY = 16 * 1_048_576;
const OLD = { key: '22222222-2222-4222-8222-222222222222', sealed: Buffer.alloc(32, 7).toString('base64') };
const NEW = { key: '55555555-5555-4555-8555-555555555555', sealed: Buffer.alloc(32, 8).toString('base64') };
const log = { debug: () => undefined, info: () => undefined, warn: () => undefined, error: () => undefined };

let root: string;
beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'rk-'));
});
afterEach(() => rmSync(root, { recursive: true, force: true }));

const passphraseFile = ({ key, sealed }: typeof OLD): string => {
  const file = join(root, key);
  writeFileSync(file, Buffer.from(sealed, 'base64').toString('hex'));
  return file;
};

/** Runs qemu-io on the volume as whoever has this passphrase; false when QEMU refuses, or reads something else. */
function io(path: string, secret: typeof OLD, command: string): boolean {
  const object = ['--object', `secret,id=k,file=${passphraseFile(secret)}`];
  const image = `driver=qcow2,file.driver=file,file.filename=${path},encrypt.format=luks,encrypt.key-secret=k`;
  try {
    const said = execFileSync('qemu-io', [...object, '-c', command, '--image-opts', image], {
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    return !said.toString().includes('Pattern verification failed');
  } catch {
    return false;
  }
}
const writes = (path: string, secret: typeof OLD, pattern: number): boolean => io(path, secret, `write -P ${pattern} 0 1M`);
const reads = (path: string, secret: typeof OLD, pattern: number): boolean => io(path, secret, `read -P ${pattern} 0 1M`);

async function place(path: string) {
  const found = await luksPlace(path);
  if (!found.ok) throw new Error(JSON.stringify(found.setback));
  return found.value;
}

async function headerOf(path: string): Promise<Buffer> {
  const { offset, bytes } = await place(path);
  return readFileSync(path).subarray(offset, offset + bytes);
}

/** The attacker's move: the old header over the one that is there now. */
async function putBack(path: string, header: Buffer): Promise<void> {
  const { offset } = await place(path);
  const file = openSync(path, 'r+');
  writeSync(file, header, 0, header.length, offset);
  closeSync(file);
}

/** A host with real files and qemu tools on which the volume has arrived. */
async function targetHost() {
  const paths = hostPaths({
    stateDir: join(root, 's'),
    volumesDir: join(root, 'v'),
    tmpfsDir: '/dev/shm',
    bootDir: join(root, 'b'),
    importDir: join(root, 'i'),
    vtpmDir: join(root, 'p'),
  });
  const [domain, host] = [trustDomain.parse('csp-b.example'), hostName.parse('b1')];
  const clock = {
    now: () => timestamp.parse('2026-11-23T10:00:00.000Z'),
    sleep: (ms: number, signal: AbortSignal) => sleep(ms, undefined, { signal }),
  };
  const fake = fakeHost({ domain, host, clock });
  const volumes = qemuVolumes({ qemuImg: '/usr/bin/qemu-img', qemuIo: '/usr/bin/qemu-io', tmpfsDir: '/dev/shm' }, log);
  const artifacts = { ...fake.ports.artifacts, guard, luksPlace };
  const ports: HostPorts = { ...fake.ports, paths, files: nodeFiles, volumes, artifacts };
  const hello = { agent: '00000000-0000-4000-8000-000000000001', publicKey: '', chain: [''] };
  const agent = createHostAgent({ domain, host, ports, hello });
  const path = paths.staged(VM, epoch.parse(1), DISK);
  mkdirSync(dirname(path), { recursive: true });
  await volumes.createBlank(path, CAPACITY, Buffer.from(Buffer.alloc(32, 7).toString('hex')));
  const rekey = async (method: 'slot' | 'full') => {
    const command = hostCommand.parse({
      id: '00000000-0000-4000-8000-0000000000aa',
      host,
      deadline: '2030-01-01T00:00:00.000Z',
      step: 'rekey',
      vm: VM,
      migration: '0190aaaa-0000-7000-8000-000000000001',
      epoch: 1,
      attempt: 1,
      because: 'b'.repeat(64),
      body: { method, volumes: [{ artifact: DISK, capacityBytes: CAPACITY, from: OLD, to: NEW }] },
    });
    for (;;) {
      const reply = await agent.handle(command);
      if (reply.status !== 'running') return reply;
    }
  };
  return { path, rekey, volumes };
}

const [BEFORE, AFTER] = [0x5a, 0xa5];

test('none: the source reads what the guest writes at the target', async () => {
  const { path } = await targetHost();
  expect(writes(path, OLD, BEFORE)).toBe(true);
  const kept = await headerOf(path);
  expect(writes(path, OLD, AFTER)).toBe(true);
  await putBack(path, kept);
  expect(reads(path, OLD, AFTER)).toBe(true);
});

test('slot: the old passphrase is refused; with the old header put back it reads again, which is what `slot` does not stop', async () => {
  const { path, rekey } = await targetHost();
  writes(path, OLD, BEFORE);
  const kept = await headerOf(path);
  expect(await rekey('slot')).toMatchObject({ status: 'done' });
  expect((await place(path)).activeSlots).toHaveLength(1);
  expect([reads(path, NEW, BEFORE), reads(path, OLD, BEFORE)]).toEqual([true, false]);
  expect(writes(path, NEW, AFTER)).toBe(true);
  await putBack(path, kept);
  expect(reads(path, OLD, AFTER)).toBe(true);
});

test('full: the old passphrase is refused, and reads nothing with any header, the old one put back included', async () => {
  const { path, rekey } = await targetHost();
  writes(path, OLD, BEFORE);
  const kept = await headerOf(path);
  expect(await rekey('full')).toMatchObject({ status: 'done' });
  expect([reads(path, NEW, BEFORE), reads(path, OLD, BEFORE)]).toEqual([true, false]);
  expect(writes(path, NEW, AFTER)).toBe(true);
  const own = await headerOf(path);
  await putBack(path, kept);
  for (const pattern of [BEFORE, AFTER]) expect(reads(path, OLD, pattern)).toBe(false);
  await putBack(path, own);
  expect(reads(path, NEW, AFTER)).toBe(true);
});
