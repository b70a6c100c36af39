import { copyFileSync, mkdirSync, readFileSync, rmSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import {
  buildGuest,
  DevError,
  daemonEnv,
  type Guest,
  privateDir,
  runAs,
  runOnce,
  scratch,
  startHost,
  systemTool,
} from '@carnet/dev';
import { artifactId, digest, epoch, hostName, keyId, timestamp, trustDomain, vmId, vmSpec } from '@carnet/events';
import {
  createHostAgent,
  fakeHost,
  type HostPorts,
  type HostReply,
  type HostStep,
  hostCommand,
  hostPaths,
  libvirtHypervisor,
  nodeFiles,
  qemuVolumes,
  uuidOf,
} from '@carnet/hypervisor';
import { guard, luksPlace } from '../header-guard.ts';
import { type Crash, mortal } from './mortal.ts';

const VM = vmId.parse('csp-a.example/33333333-3333-4333-8333-333333333333');
const DISK = artifactId.parse('11111111-1111-4111-8111-111111111111');
const CAPACITY = 16_777_216;
const [DOMAIN, HOST] = [trustDomain.parse('csp-b.example'), hostName.parse('b1')];
const OF_FIRST = {
  migration: '0190aaaa-0000-7000-8000-000000000001',
  epoch: 1,
  attempt: 1,
  because: 'b'.repeat(64),
};
const SILENT = { debug: () => undefined, info: () => undefined, warn: () => undefined, error: () => undefined };

/** A key as the fake's opener opens it, and the passphrase that it is. */
const secretOf = (key: string, fill: number) => ({
  key: keyId.parse(key),
  sealed: { key, sealed: Buffer.alloc(32, fill).toString('base64') },
  passphrase: Buffer.alloc(32, fill).toString('hex'),
});
/** What the source knew, and what took its place on arrival. */
export const KEPT = secretOf('22222222-2222-4222-8222-222222222222', 7);
export const OWN = secretOf('55555555-5555-4555-8555-555555555555', 8);

const clock = {
  now: () => timestamp.parse(new Date(Date.parse('2026-11-29T10:00:00.000Z') + Math.floor(performance.now())).toISOString()),
  sleep: (ms: number, signal: AbortSignal) => sleep(ms, undefined, { signal }),
};

let commands = 0;
function commandFor(step: HostStep, body: unknown, more: object) {
  commands += 1;
  const id = `00000000-0000-4000-8000-${String(commands).padStart(12, '0')}`;
  return hostCommand.parse({ id, host: HOST, deadline: '2030-01-01T00:00:00.000Z', step, vm: VM, body, ...more });
}

/** Any permit will do: this host's `permits` are the fake's, and libvirt has no hook here. */
const permit = {
  payloadType: 'application/vnd.carnet.run-permit.v1+json',
  payload: Buffer.from(JSON.stringify({ host: HOST, vm: VM, epoch: 1, time: '2030-01-01T00:00:00.000Z' })).toString('base64'),
  signatures: [{ keyid: 'fake', sig: Buffer.alloc(32).toString('base64') }],
};

export type LoneHost = Awaited<ReturnType<typeof openLoneHost>>;

/** A target's real libvirtd, QEMU and files with an agent's steps over them; evidence and the sealing of secrets are the fake's. */
export async function openLoneHost() {
  const as = runAs();
  const { identity } = as;
  const root = scratch('lone');
  const guest = buildGuest({ dir: join(root, 'guest') });
  const hostUuid = '00000001-aaaa-4bbb-8ccc-000000000001';
  const machine = await startHost({ dir: join(root, 'h'), name: 'h', user: identity.name, hostUuid });
  const tmpfsDir = privateDir(`/dev/shm/carnet-lone-${process.pid}`, as);
  const become = (uid: number, gid: number): void => {
    if (!identity.switched) return;
    // Back to root first: only root takes another group.
    process.seteuid?.(0);
    process.setegid?.(gid);
    process.seteuid?.(uid);
  };
  become(identity.uid, identity.gid);
  const folder = (name: string): string => join(machine.dirs.root, name);
  const paths = hostPaths({
    stateDir: folder('s'),
    volumesDir: machine.dirs.disks,
    tmpfsDir,
    bootDir: folder('b'),
    importDir: folder('i'),
    vtpmDir: machine.swtpm,
  });
  const volumes = qemuVolumes({ qemuImg: '/usr/bin/qemu-img', qemuIo: '/usr/bin/qemu-io', tmpfsDir }, SILENT);
  const spec = specOf(guest, paths.bootDir);
  let roomBytes: number | undefined;
  const files = { ...nodeFiles, freeBytes: async (dir: string) => roomBytes ?? nodeFiles.freeBytes(dir) };

  const openAgent = () => {
    const fake = fakeHost({ domain: DOMAIN, host: HOST, clock });
    const transport = { kind: 'unix', path: machine.socket } as const;
    const how = {
      clock,
      random: Math.random,
      log: SILENT,
      machine: { emulator: '/usr/bin/qemu-system-x86_64', accelerator: 'tcg' } as const,
    };
    const hypervisor = libvirtHypervisor({ transport, uri: 'qemu:///session', ...how });
    const life = mortal();
    const ports: HostPorts = {
      ...fake.ports,
      paths,
      files: life.over('files', files),
      volumes: life.over('volumes', volumes),
      hypervisor: life.over('hypervisor', hypervisor),
      artifacts: { ...fake.ports.artifacts, guard, luksPlace },
      log: SILENT,
    };
    const hello = { agent: '00000000-0000-4000-8000-000000000001', publicKey: '', chain: [''] };
    return { agent: createHostAgent({ domain: DOMAIN, host: HOST, ports, hello, replyWithinMs: 200 }), hypervisor, life };
  };
  let { agent, hypervisor, life } = openAgent();
  const restartAgent = async (): Promise<void> => {
    await hypervisor.close();
    ({ agent, hypervisor, life } = openAgent());
  };
  /** All answers to one command, until it is no longer `running`; none after the agent's death. */
  const ask = async (step: HostStep, body: unknown, more: object = {}): Promise<readonly HostReply[]> => {
    const command = commandFor(step, body, more);
    const replies: HostReply[] = [];
    for (;;) {
      const reply = await Promise.race([agent.handle(command), life.death]);
      if (reply === undefined) return replies;
      replies.push(reply);
      if (reply.status !== 'running') return replies;
    }
  };
  const must = async (step: HostStep, body: unknown, more: object = {}): Promise<void> => {
    const reply = (await ask(step, body, more)).at(-1);
    if (reply?.status !== 'done') throw new Error(`${step}: ${JSON.stringify(reply)}`);
  };

  /** A volume of the source, with something in it, arrives and gets our passphrase; the VM starts on it. */
  const arrive = async (): Promise<Buffer> => {
    const staged = paths.staged(VM, epoch.parse(OF_FIRST.epoch), DISK);
    mkdirSync(dirname(staged), { recursive: true });
    await volumes.createBlank(staged, CAPACITY, Buffer.from(KEPT.passphrase));
    io(staged, KEPT, '-c', 'write -P 0x5a 1M 12M');
    const place = await luksPlace(staged);
    if (!place.ok) throw new Error(JSON.stringify(place.setback));
    const { offset, bytes } = place.value;
    const header = readFileSync(staged).subarray(offset, offset + bytes);
    const swap = { artifact: DISK, capacityBytes: CAPACITY, from: KEPT.sealed, to: OWN.sealed };
    await must('rekey', { method: 'slot', volumes: [swap] }, OF_FIRST);
    await must('start', { spec, vcpus: 'run', secrets: [OWN.sealed] }, { ...OF_FIRST, permit });
    return header;
  };
  const io = (path: string, { passphrase }: typeof OWN, ...args: readonly string[]): string => {
    const image = `driver=qcow2,file.driver=file,file.filename=${path},encrypt.format=luks,encrypt.key-secret=k`;
    const command = [systemTool('qemu-io'), '--object', `secret,id=k,data=${passphrase}`, ...args, '--image-opts', image];
    const unswitched = { ...as, wrap: (line: readonly string[]) => line };
    return runOnce(unswitched, command, daemonEnv);
  };

  const uuid = uuidOf(VM);
  return {
    machine,
    volume: paths.volume(VM, DISK),
    home: paths.home(VM),
    console: paths.console(VM),
    arrive,
    state: (): string => machine.virsh('domstate', uuid).trim(),
    /** Pretends so much room on the disk; undefined: what there is. */
    room: (bytes: number | undefined): void => {
      roomBytes = bytes;
    },
    reencrypt: (body: object = {}) => ask('reencrypt', { secrets: [OWN.sealed], ...body }, OF_FIRST),
    start: () => must('startVm', { secrets: [OWN.sealed] }),
    stop: () => must('stopVm', { graceSeconds: 0 }),
    inspect: () => ask('inspect', {}),
    dieAt: (crash: Crash) => life.dieAt(crash),
    restartAgent,
    /** Another arrival, as far as the step's log knows: a migration asks once. */
    async asAnew(): Promise<void> {
      rmSync(paths.steps(VM));
      await restartAgent();
    },
    /** The text of the first sector by QEMU's own tool; undefined when the passphrase does not open the volume. */
    reads(path: string, secret: typeof OWN): string | undefined {
      try {
        const said = io(path, secret, '-r', '-c', 'read -v 0 512');
        return said
          .split('\n')
          .map((line) => line.slice(-16))
          .join('');
      } catch (error) {
        if (error instanceof DevError && error.message.includes('Invalid password')) return undefined;
        throw error;
      }
    },
    async killLibvirtd(): Promise<void> {
      become(0, 0);
      try {
        await machine.kill('SIGKILL');
        await machine.restart();
      } finally {
        become(identity.uid, identity.gid);
      }
    },
    /** kill -9 of QEMU. */
    killGuest: () =>
      process.kill(Number(readFileSync(join(machine.dirs.run, 'libvirt', 'qemu', 'run', 'demo.pid'), 'utf8')), 'SIGKILL'),
    async close(): Promise<void> {
      await hypervisor.close();
      become(0, 0);
      await machine.stop();
      rmSync(tmpfsDir, { recursive: true, force: true });
    },
  };
}

/** The counting guest on one disk, its kernel and initrd in the host's catalogue. */
function specOf(guest: Guest, bootDir: string) {
  mkdirSync(bootDir, { recursive: true });
  copyFileSync(guest.kernel, join(bootDir, guest.kernelSha256));
  copyFileSync(guest.initrd, join(bootDir, guest.initrdSha256));
  const [kernel, initrd] = [digest.parse(guest.kernelSha256), digest.parse(guest.initrdSha256)];
  return vmSpec.parse({
    name: 'demo',
    vcpus: 1,
    memoryMiB: 192,
    machine: 'pc-q35-7.2',
    cpuModel: 'qemu64',
    boot: { kind: 'kernel', kernel, initrd, cmdline: guest.commandLine },
    disks: [{ artifact: DISK, target: 'vda', format: 'qcow2', capacityBytes: CAPACITY, key: OWN.key }],
  });
}
