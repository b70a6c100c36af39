import { byteCount, epoch, type RekeyMethod, type Timestamp, timestamp, type VmId, type VmSpec, vmId } from '@carnet/events';
import { z } from 'zod';
import type { HostCapacity } from './command/report.ts';
import { DISK_OVERHEAD_BYTES, DISK_OVERHEAD_DIVISOR, QEMU_OVERHEAD_MIB } from './limits.ts';
import type { HostPorts } from './ports/host-ports.ts';
import { listVms } from './vm-record.ts';

/** Room promised to one migration until a time. It counts against later promises, and is gone when the VM arrived or was destroyed. */
const lease = z
  .strictObject({ v: z.literal(1), vm: vmId, epoch, until: timestamp, memoryMiB: z.int().min(0), volumeBytes: byteCount })
  .readonly();
export type Lease = z.infer<typeof lease>;

/** A disk's file at its largest. */
export const roomOfDisk = (capacityBytes: number): number =>
  capacityBytes + Math.ceil(capacityBytes / DISK_OVERHEAD_DIVISOR) + DISK_OVERHEAD_BYTES;

/** The saved memory of a VM at its largest, sealed. */
export const savedMemoryBytes = ({ memoryMiB }: VmSpec): number => (memoryMiB + QEMU_OVERHEAD_MIB) * 2 ** 20;

/** What a VM needs: memory with QEMU's own, disks as if fully allocated, and the saved memory when it travels. */
export function roomFor(
  spec: VmSpec,
  memoryState: 'none' | 'saved',
  rekey: RekeyMethod = 'none',
): Pick<Lease, 'memoryMiB' | 'volumeBytes'> {
  const sizes = spec.disks.map(({ capacityBytes }) => roomOfDisk(capacityBytes));
  // Encrypted again one after the other: the largest one is there twice for a while.
  const disks = sizes.reduce((sum, size) => sum + size, rekey === 'full' || rekey === 'full-online' ? Math.max(...sizes) : 0);
  const state = memoryState === 'saved' ? savedMemoryBytes(spec) : 0;
  return { memoryMiB: spec.memoryMiB + QEMU_OVERHEAD_MIB, volumeBytes: disks + state };
}

/** Leases that still hold at `now`; damaged and expired ones do not count. */
export async function leasesAt(ports: HostPorts, now: Timestamp): Promise<readonly Lease[]> {
  return (await readLeases(ports)).flatMap(({ held }) => (held !== undefined && held.until > now ? [held] : []));
}

/** Removes what has expired. Nobody renews a lease once its time is over: an epoch has one deadline. Damaged files stay to be looked at. */
export async function dropExpired(ports: HostPorts, now: Timestamp): Promise<void> {
  for (const { path, held } of await readLeases(ports))
    if (held !== undefined && held.until <= now) await ports.files.remove(path);
}

/** Whether room is promised to exactly this epoch of the VM. */
export async function isReserved({ files, paths }: HostPorts, of: Pick<Lease, 'vm' | 'epoch'>, now: Timestamp): Promise<boolean> {
  const bytes = await files.read(paths.lease(of.vm, of.epoch));
  const held = bytes === undefined ? undefined : parseLease(bytes);
  return held !== undefined && held.vm === of.vm && held.epoch === of.epoch && held.until > now;
}

async function readLeases({ files, paths }: HostPorts) {
  const places = (await files.list(paths.leaseDir)).map((name) => `${paths.leaseDir}/${name}`);
  return Promise.all(
    places.map(async (path) => {
      const bytes = await files.read(path);
      return { path, held: bytes === undefined ? undefined : parseLease(bytes) };
    }),
  );
}

function parseLease(bytes: Buffer): Lease | undefined {
  try {
    return lease.safeParse(JSON.parse(bytes.toString('utf8'))).data;
  } catch {
    return undefined;
  }
}

export const writeLease = ({ files, paths }: HostPorts, held: Omit<Lease, 'v'>): Promise<void> =>
  files.write(paths.lease(held.vm, held.epoch), Buffer.from(`${JSON.stringify({ v: 1, ...held })}\n`));

export const dropLease = ({ files, paths }: HostPorts, { vm, epoch }: Pick<Lease, 'vm' | 'epoch'>): Promise<void> =>
  files.remove(paths.lease(vm, epoch));

const clamp = (value: number): number => Math.max(0, Math.floor(value));

/** Free room now, leases not yet deducted. `except`: the VM whose own lease must not count against it. */
export async function capacityAt(ports: HostPorts, now: Timestamp, except?: VmId): Promise<HostCapacity> {
  const { files, paths, limits } = ports;
  await files.ensureDir(paths.volumesDir);
  const held = (await leasesAt(ports, now)).filter(({ vm }) => vm !== except);
  const specs = await listVms(files, paths);
  const usedMiB = specs.reduce((sum, { spec }) => sum + spec.memoryMiB, 0);
  const usedBytes = specs.reduce((sum, { spec }) => sum + spec.disks.reduce((bytes, d) => bytes + d.capacityBytes, 0), 0);
  return {
    memoryMiBFree: clamp(Math.min(await ports.memoryMiBFree(), (limits.memoryMiB ?? Number.POSITIVE_INFINITY) - usedMiB)),
    volumeBytesFree: clamp(
      Math.min(await files.freeBytes(paths.volumesDir), (limits.volumeBytes ?? Number.POSITIVE_INFINITY) - usedBytes),
    ),
    memoryMiBReserved: held.reduce((sum, { memoryMiB }) => sum + memoryMiB, 0),
    volumeBytesReserved: held.reduce((sum, { volumeBytes }) => sum + volumeBytes, 0),
  };
}
