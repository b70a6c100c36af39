import type { Digest, KeyId, VmDisk, VmId } from '@carnet/events';
import { failed, HostError, refused, type Setback } from '../codes.ts';
import type { StepProgress } from '../command/report.ts';
import { uuidOf } from '../host-paths.ts';
import { DISK_OVERHEAD_BYTES, POLL_MS } from '../limits.ts';
import { done, type Outcome, setBack } from '../outcome.ts';
import type { DiskFacts } from '../ports/hypervisor.ts';
import { letRun, provideSecrets } from './domains.ts';
import { shred } from './shred.ts';
import type { StepContext } from './step.ts';

/** A volume of a VM that lives here, with the passphrase that opens it, the one that shall, and its header as it was at first. */
export type Held = {
  readonly vm: VmId;
  readonly disk: VmDisk;
  readonly newKey: KeyId;
  readonly from: Uint8Array;
  readonly to: Uint8Array;
  readonly before: Digest;
};

const pathsOf = ({ ports: { paths } }: StepContext, { vm, disk: { artifact } }: Pick<Held, 'vm' | 'disk'>) => ({
  /** Where the volume is looked for. */
  place: paths.volume(vm, artifact),
  /** The copy; a running guest keeps this name of it until it stops. */
  copy: paths.reencrypted(vm, artifact),
  /** The old volume, until its header is overwritten. */
  old: paths.replacedOnline(vm, artifact),
});

/**
 * One volume, again and again until it is new: what is seen decides what is next. The guest never runs on a copy that is not in the volume's
 * place: it stands still from before the pivot until the names are changed, so a host that loses power finds in that place what the guest last
 * wrote, whichever of the two it is. QEMU flushes a mirror's target before the job ends (block/mirror.c), so nothing of the copy is lost either.
 */
export async function encryptOnline(
  context: StepContext,
  volume: Held,
  onProgress: (progress: StepProgress) => void,
): Promise<Outcome<Digest>> {
  const { files, hypervisor } = context.ports;
  const { place, copy, old } = pathsOf(context, volume);
  const uuid = uuidOf(volume.vm);
  let hasBegun = false;
  const tell = rated(context, onProgress);
  for (;;) {
    if (context.signal.aborted) throw new HostError(failed('STEP_ABORTED'));
    // Between the two names: what was copied was whole before the first of them was changed.
    if (
      (await files.size(place)) === undefined &&
      (await files.size(old)) !== undefined &&
      (await files.size(copy)) !== undefined
    )
      await files.alias(copy, place);
    const header = await newHeader(context, volume);
    if (!header.ok) return header;
    const facts = await hypervisor.disk(uuid, volume.disk.target);
    if (header.value !== undefined) {
      await shred(context, old);
      if (facts === undefined) await files.remove(copy);
      else await letRun(context, volume.vm);
      return done(header.value);
    }
    if (facts === undefined) {
      const setback = await convert(context, volume, onProgress);
      if (setback !== undefined) return setBack(setback);
      await takePlace(context, volume);
    } else if (facts.path === copy) {
      await hypervisor.pause(uuid);
      await takePlace(context, volume);
    } else if (facts.copy === undefined) {
      if (hasBegun) throw new HostError(failed('TOOL_FAILED', 'The copy of a running disk ended by itself.'));
      const setback = await begin(context, volume);
      if (setback !== undefined) return setBack(setback);
      hasBegun = true;
    } else {
      hasBegun = true;
      if (facts.copy.state === 'ready') await pivot(context, volume);
      else await wait(context, facts.copy, tell);
    }
  }
}

/** Undefined: what lies in the volume's place is still what came. */
async function newHeader(context: StepContext, volume: Held): Promise<Outcome<Digest | undefined>> {
  const { artifacts } = context.ports;
  const { place } = pathsOf(context, volume);
  const header = await artifacts.guard(place);
  if (!header.ok) return header;
  if (header.value.headerDigest === volume.before) return done(undefined);
  const luks = await artifacts.luksPlace(place);
  if (!luks.ok) return luks;
  if (luks.value.activeSlots.length !== 1) throw new HostError(failed('TOOL_FAILED', 'Another key slot is in use.'));
  return done(header.value.headerDigest);
}

/** An empty volume that only the new passphrase opens, with a volume key of its own. */
async function createEmpty(context: StepContext, volume: Held): Promise<Setback | undefined> {
  const { files, volumes, artifacts, paths } = context.ports;
  const { place, copy } = pathsOf(context, volume);
  await files.remove(copy);
  const header = await artifacts.guard(place);
  if (!header.ok) return header.setback;
  const { capacityBytes, sizeBytes } = header.value;
  if (capacityBytes !== volume.disk.capacityBytes)
    return refused('SPEC_MISMATCH', `Disk ${volume.disk.artifact} has ${capacityBytes} bytes.`);
  if ((await files.freeBytes(paths.volumesDir)) < sizeBytes + DISK_OVERHEAD_BYTES)
    return refused('NO_ROOM', `A second copy of disk ${volume.disk.artifact} needs ${sizeBytes + DISK_OVERHEAD_BYTES} bytes.`);
  await volumes.createBlank(copy, capacityBytes, volume.to);
  const isOld = await volumes.unlock(copy, volume.from);
  if (isOld.ok) throw new HostError(failed('TOOL_FAILED', 'The old key opens a new volume.'));
  return isOld.setback.code === 'LUKS_DOES_NOT_OPEN' ? undefined : isOld.setback;
}

/** Begins to mirror; QEMU goes on with it whatever becomes of us. */
async function begin(context: StepContext, volume: Held): Promise<Setback | undefined> {
  const empty = await createEmpty(context, volume);
  if (empty !== undefined) return empty;
  const { vm, disk, newKey, to } = volume;
  await provideSecrets(context, vm, new Map([[newKey, to]]));
  await context.ports.hypervisor.copyDisk(uuidOf(vm), disk.target, { path: pathsOf(context, volume).copy, key: newKey });
  return undefined;
}

/** With the rate since the first look: a copy may be under way since long before. Bytes are the job's own measure. */
function rated({ ports: { clock } }: StepContext, onProgress: (progress: StepProgress) => void) {
  let first: { readonly bytes: number; readonly ms: number } | undefined;
  return ({ doneBytes, totalBytes }: Omit<StepProgress, 'bytesPerSecond'>): void => {
    const ms = Date.parse(clock.now());
    first ??= { bytes: doneBytes, ms };
    const seconds = (ms - first.ms) / 1_000;
    const bytesPerSecond = seconds > 0 ? Math.max(0, Math.round((doneBytes - first.bytes) / seconds)) : 0;
    onProgress({ doneBytes, totalBytes, bytesPerSecond });
  };
}

async function wait(
  { ports, signal }: StepContext,
  { doneBytes, totalBytes }: NonNullable<DiskFacts['copy']>,
  tell: (progress: Omit<StepProgress, 'bytesPerSecond'>) => void,
): Promise<void> {
  tell({ doneBytes, totalBytes });
  await ports.clock.sleep(POLL_MS, signal);
}

/** The guest stands still, and goes on only if it is seen to be on its old volume still. */
async function pivot(context: StepContext, volume: Held): Promise<void> {
  const { hypervisor } = context.ports;
  const [uuid, { target }] = [uuidOf(volume.vm), volume.disk];
  await hypervisor.pause(uuid);
  try {
    await hypervisor.pivotDisk(uuid, target);
  } catch (cause) {
    const facts = await hypervisor.disk(uuid, target);
    if (facts?.path === pathsOf(context, volume).place) await letRun(context, volume.vm);
    throw cause;
  }
}

/** The guest is off: nothing but us has the volume open. */
async function convert(
  context: StepContext,
  volume: Held,
  onProgress: (progress: StepProgress) => void,
): Promise<Setback | undefined> {
  const { volumes } = context.ports;
  const { place, copy } = pathsOf(context, volume);
  const empty = await createEmpty(context, volume);
  if (empty !== undefined) return empty;
  const { signal } = context;
  const totalBytes = volume.disk.capacityBytes;
  const [from, to] = [
    { path: place, passphrase: volume.from },
    { path: copy, passphrase: volume.to },
  ];
  const copied = await volumes.copyInto(from, to, { signal, onProgress, totalBytes });
  return copied.ok ? undefined : copied.setback;
}

/** Old out, new in; the copy keeps its own name, too, for the guest that has it open under that. */
async function takePlace(context: StepContext, volume: Pick<Held, 'vm' | 'disk'>): Promise<void> {
  const { files } = context.ports;
  const { place, copy, old } = pathsOf(context, volume);
  await files.flush(copy);
  await files.rename(place, old);
  await files.alias(copy, place);
}

/**
 * Before a VM is let run that a crash left at rest (or cut off) in the midst of a change: what it has open comes to its place first, or what
 * it goes on to write would lie in a file that the next start, and the next attempt, take for an unfinished copy.
 */
export async function settleNames(context: StepContext, vm: VmId, disks: readonly VmDisk[]): Promise<void> {
  const { files, hypervisor } = context.ports;
  for (const disk of disks) {
    const { place, copy, old } = pathsOf(context, { vm, disk });
    if ((await files.size(copy)) === undefined) continue;
    if ((await files.size(place)) === undefined) {
      if ((await files.size(old)) !== undefined) await files.alias(copy, place);
      continue;
    }
    const facts = await hypervisor.disk(uuidOf(vm), disk.target);
    if (facts?.path === copy && !(await areOne(context, place, copy))) await takePlace(context, { vm, disk });
  }
}

/** Two names of one volume: no two volumes have the same header, for each has salts and a volume key of its own. */
async function areOne({ ports: { artifacts } }: StepContext, a: string, b: string): Promise<boolean> {
  const [one, other] = [await artifacts.guard(a), await artifacts.guard(b)];
  return one.ok && other.ok && one.value.headerDigest === other.value.headerDigest;
}

/** A guest that has stopped has its volumes open under no other name any more. */
export async function endSecondNames(
  { ports: { files, paths } }: StepContext,
  vm: VmId,
  disks: readonly VmDisk[],
): Promise<void> {
  for (const { artifact } of disks) {
    const isSecond = (await files.size(paths.volume(vm, artifact))) !== undefined;
    if (isSecond) await files.remove(paths.reencrypted(vm, artifact));
  }
}
