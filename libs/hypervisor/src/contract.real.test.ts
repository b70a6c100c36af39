import { rmSync } from 'node:fs';
import { readFile, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { buildGuest, privateDir, runAs, scratch, startHost } from '@carnet/dev';
import { digest, vmSpec } from '@carnet/events';
import { refused } from './codes.ts';
import { libvirtHypervisor } from './libvirt/hypervisor.ts';
import { nodeFiles } from './node-files.ts';
import { done, type Outcome, setBack } from './outcome.ts';
import type { LuksPlace } from './ports/artifacts.ts';
import { qemuVolumes } from './qemu/volumes.ts';
import { hypervisorContract } from './testing/contract-suite.ts';
import { DISK, KEY, quickClock, SPEC, UUID, VM, VTPM_KEY } from './testing/drive.ts';

const log = { debug: () => undefined, info: () => undefined, warn: () => undefined, error: () => undefined };
const CAPACITY = 16 * 1_048_576;

/** Full-disk encryption header pointer, a header extension of qcow2 (QEMU docs/interop/qcow2.txt). */
const ENCRYPTION_POINTER = 0x0537be77;
const QCOW2_V3_BYTES_AT = 100;

/** Read apart from the images lib, as a second opinion on it: qcow2's pointer, then LUKS1's eight slots. */
async function readPlace(path: string): Promise<Outcome<LuksPlace>> {
  const file = await readFile(path);
  let at = file.readUInt32BE(QCOW2_V3_BYTES_AT);
  while (file.readUInt32BE(at) !== ENCRYPTION_POINTER) at += 8 + Math.ceil(file.readUInt32BE(at + 4) / 8) * 8;
  const [offset, bytes] = [Number(file.readBigUInt64BE(at + 8)), Number(file.readBigUInt64BE(at + 16))];
  if (file.toString('latin1', offset, offset + 4) !== 'LUKS') return setBack(refused('IMAGE_REFUSED'));
  const slots = Array.from({ length: 8 }, (_, slot) => file.readUInt32BE(offset + 208 + 48 * slot));
  return done({ offset, bytes, activeSlots: slots.flatMap((state, slot) => (state === 0x00ac71f3 ? [slot] : [])) });
}

hypervisorContract('libvirtd and qemu', async () => {
  const root = scratch('hc');
  const as = runAs();
  const guest = buildGuest({ dir: join(root, 'guest') });
  const machine = await startHost({
    dir: join(root, 'h'),
    name: 'h',
    user: as.identity.name,
    hostUuid: '00000001-aaaa-4bbb-8ccc-000000000001',
  });
  const tmpfsDir = privateDir(`/dev/shm/carnet-contract-${process.pid}`, as);
  // qemu-img and libvirtd's guests share files: this process takes the host's effective ids until the end.
  if (as.identity.switched) {
    process.setegid?.(as.identity.gid);
    process.seteuid?.(as.identity.uid);
  }
  const emulator = '/usr/bin/qemu-system-x86_64';
  const hypervisor = libvirtHypervisor({
    transport: { kind: 'unix', path: machine.socket },
    uri: 'qemu:///session',
    machine: { emulator, accelerator: 'tcg' },
    clock: { ...quickClock, sleep: (ms, signal) => sleep(ms, undefined, { signal }) },
    random: Math.random,
    log,
  });
  const boot = {
    kind: 'kernel',
    kernel: digest.parse(guest.kernelSha256),
    initrd: digest.parse(guest.initrdSha256),
    cmdline: guest.commandLine,
  } as const;
  return {
    hypervisor,
    volumes: qemuVolumes({ qemuImg: '/usr/bin/qemu-img', qemuIo: '/usr/bin/qemu-io', tmpfsDir }, log),
    files: nodeFiles,
    luksPlace: readPlace,
    definition: {
      vm: VM,
      uuid: UUID,
      spec: vmSpec.parse({
        ...SPEC,
        memoryMiB: 192,
        boot,
        disks: [{ artifact: DISK, target: 'vda', format: 'qcow2', capacityBytes: CAPACITY, key: KEY }],
      }),
      disks: [{ target: 'vda', path: join(machine.dirs.disks, 'a.qcow2'), key: KEY }],
      boot: { kind: 'kernel', kernelPath: guest.kernel, initrdPath: guest.initrd, cmdline: boot.cmdline },
      vtpm: { key: VTPM_KEY, statePath: join(machine.swtpm, UUID, 'tpm2', 'tpm2-00.permall') },
      consolePath: join(machine.dirs.consoles, 'demo.log'),
    },
    statePath: join(tmpfsDir, 'state'),
    otherDisk: join(machine.dirs.disks, 'b,c.qcow2'),
    putPlain: (path, content) => writeFile(path, content),
    putLink: (path, to) => symlink(to, path),
    capacityBytes: CAPACITY,
    bootMs: 60_000,
    close: async () => {
      await hypervisor.close();
      if (as.identity.switched) {
        process.seteuid?.(0);
        process.setegid?.(0);
      }
      await machine.stop();
      rmSync(tmpfsDir, { recursive: true, force: true });
    },
  };
});
