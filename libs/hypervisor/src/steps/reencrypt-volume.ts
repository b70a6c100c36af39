import type { Digest, KeyId, VmDisk, VmId } from '@carnet/events';
import { failed, HostError, type Setback } from '../codes.ts';
import type { StepProgress } from '../command/report.ts';
import { uuidOf } from '../host-paths.ts';
import { POLL_MS } from '../limits.ts';
import { done, type Outcome, setBack } from '../outcome.ts';
import type { DiskFacts } from '../ports/hypervisor.ts';
import { letRun, provideSecrets } from './domains.ts';
import { createSecond, fillSecond, type Replacement } from './second-volume.ts';
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
  const { copy, old } = pathsOf(context, volume);
  const uuid = uuidOf(volume.vm);
  let hasBegun = false;
  const tell = rated(context, onProgress);
  // Before what takes long, and before the guest is stopped; never between that and its going on.
  const unlessAborted = (): void => {
    if (context.signal.aborted) throw new HostError(failed('STEP_ABORTED'));
  };
  for (;;) {
    await endTaking(context, volume);
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
      unlessAborted();
      const setback = await convert(context, volume, onProgress);
      if (setback !== undefined) return setBack(setback);
      await takePlace(context, volume);
    } else if (facts.path === copy) {
      await hypervisor.pause(uuid);
      await takePlace(context, volume);
    } else if (facts.copy === undefined) {
      if (hasBegun) throw new HostError(failed('TOOL_FAILED', 'The copy of a running disk ended by itself.'));
      unlessAborted();
      const setback = await begin(context, volume);
      if (setback !== undefined) return setBack(setback);
      hasBegun = true;
    } else {
      hasBegun = true;
      unlessAborted();
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

const secondOf = (context: StepContext, volume: Held): Replacement => {
  const { place, copy } = pathsOf(context, volume);
  const { artifact, capacityBytes } = volume.disk;
  const ends = { from: { path: place, passphrase: volume.from }, to: { path: copy, passphrase: volume.to } };
  return { artifact, capacityBytes, ...ends };
};

/** An empty volume that only the new passphrase opens. */
async function createEmpty(context: StepContext, volume: Held): Promise<Setback | undefined> {
  const second = secondOf(context, volume);
  const setback = await createSecond(context, second);
  if (setback !== undefined) return setback;
  const isOld = await context.ports.volumes.unlock(second.to.path, volume.from);
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
const convert = async (
  context: StepContext,
  volume: Held,
  onProgress: (progress: StepProgress) => void,
): Promise<Setback | undefined> =>
  (await createEmpty(context, volume)) ?? (await fillSecond(context, secondOf(context, volume), onProgress));

/** Old out, new in; the copy keeps its own name, too, for the guest that has it open under that. */
async function takePlace(context: StepContext, volume: Pick<Held, 'vm' | 'disk'>): Promise<void> {
  const { files } = context.ports;
  const { place, copy, old } = pathsOf(context, volume);
  await files.flush(copy);
  await files.rename(place, old);
  await files.alias(copy, place);
}

/** After a crash between the two names: what was copied was whole before the first of them was changed. */
async function endTaking(context: StepContext, volume: Pick<Held, 'vm' | 'disk'>): Promise<void> {
  const { files } = context.ports;
  const { place, copy, old } = pathsOf(context, volume);
  if ((await files.size(place)) !== undefined || (await files.size(old)) === undefined) return;
  if ((await files.size(copy)) !== undefined) await files.alias(copy, place);
}

/**
 * Before a VM is let run that a crash left at rest (or cut off) in the midst of a change: what it has open comes to its place first, or what
 * it goes on to write would lie in a file that the next start, and the next attempt, take for an unfinished copy.
 */
export async function settleNames(context: StepContext, vm: VmId, disks: readonly VmDisk[]): Promise<void> {
  const { files, hypervisor } = context.ports;
  for (const disk of disks) {
    const { place, copy } = pathsOf(context, { vm, disk });
    await endTaking(context, { vm, disk });
    if ((await files.size(copy)) === undefined || (await files.size(place)) === undefined) continue;
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
