import type { Digest, KeyId } from '@carnet/events';
import { failed, HostError, type Setback } from '../codes.ts';
import type { StepProgress } from '../command/report.ts';
import { uuidOf } from '../host-paths.ts';
import { POLL_MS } from '../limits.ts';
import { done, type Outcome } from '../outcome.ts';
import { isOff, letRun, stateOf } from './domains.ts';
import { blankBeside, makeAnew, type Renewal } from './rekey-volume.ts';
import { type PlacedDisk, placesOf, settleVolume, takePlace } from './settle-volumes.ts';
import type { StepContext } from './step.ts';

/** One disk of a VM that may run: its passphrase, which stays, and the header that it had before this step's first effect. */
export type Volume = PlacedDisk & {
  readonly key: KeyId;
  readonly passphrase: Uint8Array;
  readonly before: Digest;
  readonly bytesPerSecond: number | undefined;
};
type Tell = (progress: StepProgress) => void;

/** The header that is there now. Its volume key is another one exactly when the header is: nobody else writes headers in between. */
export async function headerOf(context: StepContext, disk: PlacedDisk): Promise<Outcome<Digest>> {
  const header = await context.ports.artifacts.guard(placesOf(context, disk).path);
  return header.ok ? done(header.value.headerDigest) : header;
}

/**
 * The disk under a volume key that is made here. Asked again after whatever crash: a copy that is under way is waited for, a new
 * volume that has become the disk gets its place, anything else is begun anew.
 */
export async function renewVolume(context: StepContext, volume: Volume, tell: Tell): Promise<Setback | undefined> {
  await settleVolume(context, volume, 'goes-on');
  // At rest since an earlier attempt's end: its path names what it writes now.
  await letRun(context, volume.vm);
  const now = await headerOf(context, volume);
  if (!now.ok) return now.setback;
  if (now.value !== volume.before) return undefined;
  if (!isOff(await stateOf(context, volume.vm))) {
    const end = await mirror(context, volume, tell);
    if (end !== 'stopped') return end;
    // The guest has shut itself down: the copy went with it, and the disk is as it left it.
    await settleVolume(context, volume, 'ends');
  }
  return convert(context, volume, tell);
}

const renewalOf = (context: StepContext, volume: Volume): Renewal => {
  const { path, making } = placesOf(context, volume);
  return { artifact: volume.artifact, path, making, from: volume.passphrase, to: volume.passphrase };
};

async function convert(context: StepContext, volume: Volume, tell: Tell): Promise<Setback | undefined> {
  const made = await makeAnew(context, renewalOf(context, volume), tell);
  if (made !== undefined) return made;
  await takePlace(context, volume);
  await settleVolume(context, volume, 'ends');
  return undefined;
}

async function mirror(context: StepContext, volume: Volume, tell: Tell): Promise<Setback | 'stopped' | undefined> {
  const { hypervisor } = context.ports;
  const uuid = uuidOf(volume.vm);
  if ((await hypervisor.copyState(uuid, volume.target)) === undefined) {
    const setback = await beginMirror(context, volume);
    if (setback !== undefined) return setback;
  }
  const end = await untilReady(context, volume, tell);
  if (end !== 'ready') return end;
  try {
    await hypervisor.pause(uuid);
    await hypervisor.endCopy(uuid, volume.target, 'pivot');
    await takePlace(context, volume);
  } catch (cause) {
    await settleVolume(context, volume, 'ends');
    await letRun(context, volume.vm);
    throw cause;
  }
  await letRun(context, volume.vm);
  await settleVolume(context, volume, 'ends');
  return undefined;
}

async function beginMirror(context: StepContext, volume: Volume): Promise<Setback | undefined> {
  const { hypervisor } = context.ports;
  const { key, vm, target, passphrase, bytesPerSecond } = volume;
  const renewal = renewalOf(context, volume);
  const blank = await blankBeside(context, renewal);
  if (!blank.ok) return blank.setback;
  // libvirtd may have restarted and lost it since the start.
  await hypervisor.putSecret({ key, value: passphrase, description: `carnet ${vm}` });
  const copy = { target, path: renewal.making, key };
  await hypervisor.beginCopy(uuidOf(vm), bytesPerSecond === undefined ? copy : { ...copy, bytesPerSecond });
  return undefined;
}

/** However long it takes. Aborted, the copy goes on: the next attempt finds it, and whoever stops the VM ends it. */
async function untilReady(context: StepContext, volume: Volume, tell: Tell): Promise<Setback | 'stopped' | 'ready'> {
  const { hypervisor, clock } = context.ports;
  const began = Date.parse(clock.now());
  let first: number | undefined;
  for (;;) {
    const state = await hypervisor.copyState(uuidOf(volume.vm), volume.target);
    if (state === undefined) {
      if (isOff(await stateOf(context, volume.vm))) return 'stopped';
      await settleVolume(context, volume, 'ends');
      return failed('COPY_BROKE_OFF', `(${volume.artifact})`);
    }
    if (state.ready) return 'ready';
    first ??= state.doneBytes;
    const seconds = Math.max((Date.parse(clock.now()) - began) / 1_000, 1);
    const { doneBytes, totalBytes } = state;
    tell({ doneBytes, totalBytes, bytesPerSecond: Math.max(0, Math.round((doneBytes - first) / seconds)) });
    if (context.signal.aborted) throw new HostError(failed('STEP_ABORTED'));
    await clock.sleep(POLL_MS, context.signal);
  }
}

/** The header that it has in the end: another one than before, opened by the passphrase that stays, and by no other slot. */
export async function provenVolume(context: StepContext, volume: Volume): Promise<Outcome<Digest>> {
  const { artifacts, volumes } = context.ports;
  const { path } = placesOf(context, volume);
  const header = await headerOf(context, volume);
  if (!header.ok) return header;
  const place = await artifacts.luksPlace(path);
  if (!place.ok) return place;
  const opened = await volumes.unlock(path, volume.passphrase);
  if (!opened.ok) return opened;
  if (header.value === volume.before || place.value.activeSlots.length !== 1)
    throw new HostError(failed('TOOL_FAILED', 'The volume is not the one that was made.'));
  return header;
}
