import { spawnSync } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { existsSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { eventually, freePort, programOf, stageCode } from '@carnet/dev';
import { type ArtifactId, type KeyId, timestamp, type VmId, type VmSpec, vmSpec } from '@carnet/events';
import { encodeEntry, encodeTicket, type FenceEntry, METADATA_NAMESPACE, uuidOf } from '@carnet/hypervisor';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import {
  type Attempt,
  anArtifact,
  ask,
  aVm,
  BECAUSE,
  type Commander,
  createCommander,
  freshMigration,
  someEpoch,
  step,
} from '../testing/commander.ts';
import { brokerSigner, permitBy } from '../testing/permitting.ts';
import { A, B, guestSpec, type RealHost, startTwoHosts, type TwoHosts } from '../testing/two-hosts.ts';
import { hookFile } from './install.ts';

/** libvirt's own hook, in front of real daemons: an administrator's virsh, autostart, a migration that nobody asked us for. */
let hosts: TwoHosts;
let broker: Commander;
let vm: VmId;
let artifact: ArtifactId;
let key: KeyId;
let spec: VmSpec;
/** Of both brokers: for permits that are true but for one thing. */
let signers: { readonly a: ReturnType<typeof brokerSigner>; readonly b: ReturnType<typeof brokerSigner> };

beforeAll(async () => {
  hosts = await startTwoHosts();
  await hosts.asStarter(async () => {
    signers = { a: brokerSigner(hosts.pkiDir, A.domain), b: brokerSigner(hosts.pkiDir, B.domain) };
  });
  broker = await createCommander();
  vm = aVm(A.domain);
  artifact = anArtifact();
  key = await broker.createKey(artifact, vm, 'disk');
  const disk = { artifact, target: 'vda', format: 'qcow2', capacityBytes: 16 * 1_048_576, key } as const;
  spec = vmSpec.parse(guestSpec(hosts.guest, disk));
});
afterAll(async () => {
  await broker?.close();
  await hosts?.stop();
});

const secrets = async () => [await broker.secret(hosts.a, vm, key, 0, 'run')];
const migration = freshMigration();
const move = (): Attempt => ({ vm, migration, epoch: someEpoch(1) });
/** What an administrator reads: the empty text after a success. */
const told = ({ machine }: RealHost, ...args: readonly string[]): string => {
  try {
    machine.virsh(...args);
    return '';
  } catch (cause) {
    return String(cause);
  }
};
const running = ({ machine }: RealHost): readonly string[] => machine.virsh('list', '--name').trim().split('\n');
const stateFile = ({ config }: RealHost, of: VmId, folder = 'fence'): string =>
  join(config.directories.state, folder, `${uuidOf(of)}.json`);
const restartDaemon = ({ machine }: RealHost): Promise<void> => hosts.asStarter(() => machine.restart());

const savedAt = ({ machine }: RealHost): string => join(machine.dirs.root, 'demo.save');
/** libvirt's own live migration, which nobody asked Carnet for. */
const migrate = async (from: RealHost, to: RealHost, name: string): Promise<string> =>
  told(from, 'migrate', '--live', name, to.machine.uri, '--migrateuri', `tcp://127.0.0.1:${await freePort()}`);

/** A VM without disks, as an administrator might define it by hand: it runs anywhere. */
function define({ machine }: RealHost, name: string, uuid: string, metadata = ''): void {
  const file = join(machine.dirs.root, `${name}.xml`);
  writeFileSync(
    file,
    `<domain type='qemu'><name>${name}</name><uuid>${uuid}</uuid>${metadata}<memory>65536</memory>
    <os><type arch='x86_64' machine='pc-q35-7.2'>hvm</type></os>
    <cpu mode='custom' match='exact' check='none'><model fallback='forbid'>qemu64</model></cpu>
    <devices><emulator>/usr/bin/qemu-system-x86_64</emulator><controller type='usb' model='none'/>
    <video><model type='none'/></video><memballoon model='none'/></devices></domain>`,
  );
  machine.virsh('define', file);
}

/** Runs `work` with something of the host out of the way, or put wrong, and puts it back. libvirt would run a script beside its own. */
async function without<T>(path: string, instead: string | undefined, work: () => Promise<T> | T): Promise<T> {
  const kept = join(hosts.a.machine.dirs.root, 'kept');
  renameSync(path, kept);
  if (instead !== undefined) writeFileSync(path, instead, { mode: 0o755 });
  try {
    return await work();
  } finally {
    rmSync(path, { force: true });
    renameSync(kept, path);
  }
}

describe('a VM that may run here', () => {
  test('starts, is saved and restored by virsh: the hook knows the register and the permit', async () => {
    const { a } = hosts;
    await step(a, { vm }, 'createVm', { spec, secrets: await secrets() });
    await step(a, { vm }, 'startVm', { secrets: await secrets(), epoch: 0 });
    await step(a, { vm }, 'stopVm', { graceSeconds: 0 });
    expect(told(a, 'start', 'demo')).toBe('');
    expect(told(a, 'save', 'demo', savedAt(a))).toBe('');
    expect(told(a, 'restore', savedAt(a))).toBe('');
    expect(running(a)).toEqual(['demo']);
  });

  test('lives on through a restart of libvirtd, also with a damaged register; one that the register gave away does not', async () => {
    const { a } = hosts;
    const register = stateFile(a, vm);
    await restartDaemon(a);
    expect(running(a)).toEqual(['demo']);
    await without(register, '{"v":1', async () => {
      await restartDaemon(a);
      expect(running(a)).toEqual(['demo']);
    });
    // The control: a hook that is asked when libvirtd finds its guests again, and whose word counts.
    const gone: FenceEntry = {
      vm,
      epoch: 1,
      standing: 'surrendered',
      vcpus: 'held',
      role: 'source',
      because: null,
      time: timestamp.parse(new Date().toISOString()),
    };
    await without(register, Buffer.from(encodeEntry(gone)).toString(), async () => {
      await restartDaemon(a);
      await eventually('the guest to be ended', () => (running(a).includes('demo') ? undefined : true));
    });
    await restartDaemon(a);
    await eventually('the agent to find libvirtd', async () =>
      (await a.agent.agent.hello()).libvirt.connected ? true : undefined,
    );
  });

  test('needs a permit of our broker for this very VM, host and epoch', async () => {
    const { a } = hosts;
    const permit = stateFile(a, vm, 'permits');
    const { chain } = JSON.parse(readFileSync(permit, 'utf8'));
    // True but for one thing; more of these in run-permits.test.ts.
    const startWith = (instead: string | undefined) => without(permit, instead, () => told(a, 'start', 'demo'));
    const file = (signer: typeof signers.a, said: object) =>
      JSON.stringify({ permit: permitBy(signer, { host: A.host, vm, epoch: 0, ...said }), chain });
    expect(await startWith(undefined)).toContain('RUN_PERMIT_MISSING');
    expect(await startWith(file(signers.b, {}))).toContain('RUN_PERMIT_INVALID');
    expect(await startWith(file(signers.a, { epoch: 1 }))).toContain('RUN_PERMIT_MISMATCH');
    expect(running(a)).toEqual(['']);
    // The control: the same file without a fault. The VM's secret went with libvirtd, so what fails now is not the hook.
    expect(await startWith(file(signers.a, {}))).not.toContain('carnet:');
    // A start through the broker brings a new one, and the secret.
    rmSync(permit);
    await step(a, { vm }, 'startVm', { secrets: await secrets(), epoch: 0 });
    expect(running(a)).toEqual(['demo']);
    expect(existsSync(permit)).toBe(true);
  });
});

const code = stageCode();
const program = programOf(code.root, 'fence');

describe('a broken store', () => {
  const plain = randomUUID();
  const marked = randomUUID();

  test('refuses federated VMs, and only those', async () => {
    const { a } = hosts;
    define(a, 'plain', plain);
    define(a, 'marked', marked, `<metadata><c:vm xmlns:c="${METADATA_NAMESPACE}">${A.domain}/${marked}</c:vm></metadata>`);
    const { state } = a.config.directories;
    const script = hookFile(a.machine.hooks ?? '');
    const bothTold = (): readonly [string, string] => {
      const refused = told(a, 'start', 'marked');
      const fine = told(a, 'start', 'plain');
      expect(told(a, 'destroy', 'plain')).toBe('');
      return [refused, fine];
    };
    for (const [path, instead] of [
      [join(state, 'fence'), 'a file'],
      [a.configFile, 'domain = 1'],
      // The program does not run at all: the script knows its own.
      [script, readFileSync(script, 'utf8').replace(program, `${program}.gone`)],
    ] as const) {
      const [refused, fine] = await without(path, instead, bothTold);
      expect(refused, `${path} ${instead}`).toContain('FENCE_UNREADABLE');
      expect(refused).toContain('carnet: marked must not run on this host');
      expect(fine).toBe('');
    }
    // The control: without the hook nothing would have been refused.
    expect(await without(script, undefined, bothTold)).toEqual(['', '']);
    a.machine.virsh('destroy', 'marked');
  });
});

describe('a VM that must not run here', () => {
  const check = (host: RealHost) =>
    spawnSync(code.node, [program, 'check', '--config', host.configFile, vm], { encoding: 'utf8' });

  test('held for a migration: neither start, restore nor an incoming migration', async () => {
    const { a, b } = hosts;
    expect(told(a, 'save', 'demo', savedAt(a))).toBe('');
    await step(a, move(), 'quiesce', { mode: 'cold', graceSeconds: 0 });
    expect(told(a, 'start', 'demo')).toMatch(
      /carnet: demo must not run on this host\. The VM is stopped for a migration\..*\(VM_HELD\)/,
    );
    expect(told(a, 'restore', savedAt(a))).toContain('VM_HELD');
    define(b, 'demo', uuidOf(vm));
    b.machine.virsh('start', 'demo');
    expect(await migrate(b, a, 'demo')).toContain('VM_HELD');
    expect([running(a), running(b)]).toEqual([[''], ['demo']]);
  });

  test('surrendered: neither start, restore, autostart at boot nor an incoming migration', async () => {
    const { a, b } = hosts;
    await step(a, move(), 'surrender', {});
    expect(told(a, 'start', 'demo')).toContain('VM_SURRENDERED');
    expect(told(a, 'restore', savedAt(a))).toContain('VM_SURRENDERED');
    expect(check(a)).toMatchObject({ status: 5, stderr: expect.stringContaining('(VM_SURRENDERED)') });

    a.machine.virsh('autostart', 'demo');
    a.machine.virsh('autostart', 'plain');
    // libvirtd starts what is marked so once after each boot of the machine, and remembers in /run that it has.
    rmSync(join(a.machine.dirs.run, 'libvirt/qemu/run/autostarted'), { force: true });
    await restartDaemon(a);
    await eventually('autostart', () => (running(a).includes('plain') ? true : undefined));
    expect(running(a)).toEqual(['plain']);
    const log = await hosts.asStarter(async () => readFileSync(a.machine.logFile, 'utf8'));
    expect(log).toContain('VM_SURRENDERED');
    a.machine.virsh('destroy', 'plain');

    define(b, 'visitor', randomUUID());
    b.machine.virsh('start', 'visitor');
    expect(await migrate(b, a, 'demo')).toContain('VM_SURRENDERED');
    expect([running(a), running(b)]).toEqual([[''], ['demo', 'visitor']]);
    // The control: the same command moves another VM.
    expect(await migrate(b, a, 'visitor')).toBe('');
    expect([running(a), running(b)]).toEqual([['visitor'], ['demo']]);
    a.machine.virsh('destroy', 'visitor');
    b.machine.virsh('save', 'demo', savedAt(b));
  });

  test('relinquished: neither start, restore nor an incoming migration', async () => {
    const { a, b } = hosts;
    await step(b, move(), 'forswear', {});
    expect(told(b, 'start', 'demo')).toContain('VM_FORSWORN');
    expect(told(b, 'restore', savedAt(b))).toContain('VM_FORSWORN');
    const other = aVm(A.domain);
    await step(b, { ...move(), vm: other }, 'forswear', {});
    define(a, 'other', uuidOf(other));
    a.machine.virsh('start', 'other');
    expect(await migrate(a, b, 'other')).toContain('VM_FORSWORN');
    expect([running(a), running(b)]).toEqual([['other'], ['']]);
    a.machine.virsh('destroy', 'other');
  });

  test('arrived and not let go: only its own agent starts it, and only now', async () => {
    const { b } = hosts;
    const arrived = aVm(A.domain);
    define(b, 'arrived', uuidOf(arrived));
    const now = () => timestamp.parse(new Date().toISOString());
    await b.agent.agent.fence.move({ kind: 'admit', epoch: 1 }, { vm: arrived, because: BECAUSE, time: now() });
    expect(told(b, 'start', 'arrived')).toContain('VM_HELD');
    const ticket = (ms: number): string => {
      const until = timestamp.parse(new Date(Date.now() + ms).toISOString());
      const file = join(b.config.directories.tmpfs, `${uuidOf(arrived)}.start`);
      writeFileSync(file, encodeTicket({ vm: arrived, epoch: 1, until }));
      return told(b, 'start', 'arrived');
    };
    expect(ticket(-1_000)).toContain('VM_HELD');
    // Past the register, at the permit.
    expect(ticket(30_000)).toContain('RUN_PERMIT_MISSING');
  });

  test('relinquished by the peer it resumes, under a permit of this epoch, and virsh starts it again', async () => {
    const { a } = hosts;
    const proof = { kind: 'relinquished', event: 'c'.repeat(64) };
    const body = { proof, secrets: [await broker.secret(a, vm, key, 1, 'run')] };
    expect(await ask(a.agent.agent, { step: 'resume', host: A.host, ...move(), body })).toMatchObject({ status: 'done' });
    const provided = { secrets: await secrets() };
    await step(a, { vm }, 'provideSecrets', provided);
    expect(told(a, 'start', 'demo')).toBe('');
    expect(check(a)).toMatchObject({ status: 0, stdout: expect.stringContaining('in epoch 1') });
  });
});
