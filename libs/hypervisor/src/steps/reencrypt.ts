import { digest, type Epoch, type VmId, type VmSpec } from '@carnet/events';
import { refused, type Setback } from '../codes.ts';
import type { CommandOf } from '../command/command.ts';
import type { StepProgress } from '../command/report.ts';
import type { ResultOf } from '../command/result.ts';
import { forbidsRunning } from '../fence/moves.ts';
import { done, type Outcome, setBack } from '../outcome.ts';
import type { Seen } from '../step-log.ts';
import { readVm } from '../vm-record.ts';
import { definitionOf } from './domains.ts';
import { headerOf, provenVolume, renewVolume, type Volume } from './reencrypt-volume.ts';
import { finished, openPassphrases, type Step, type StepContext, testify } from './step.ts';
import { keyOf } from './step-key.ts';

type Reencrypt = CommandOf<'reencrypt'>;
type Renewed = ResultOf<'reencrypt'>['volumes'][number];

/**
 * Gives every disk of a VM that arrived and was let run a volume key of this host's own making, while the guest runs or stands still.
 * The passphrase stays (it is one that the source never knew, if `rekey` came before): what ends is the use of a kept volume key,
 * or of an old header. The guest rests only for the moment in which it changes from one volume to the other.
 */
export const reencrypt: Step<'reencrypt'> = async (command, context) => {
  const { vm, epoch, body } = command;
  const spec = await runsHere(vm, epoch, context);
  if (!spec.ok) return spec.setback;
  const definition = await definitionOf(context, vm, spec.value);
  if (!definition.ok) return definition.setback;
  const keys = spec.value.disks.map(({ key }) => key);
  const passphrases = await openPassphrases(context, command, keys, body.secrets);
  if (!passphrases.ok) return passphrases.setback;
  const seen = await firstSeen(command, spec.value, context);
  if (!seen.ok) return seen.setback;
  const volumes = spec.value.disks.map(
    ({ artifact, target, key }, i): Volume => ({
      vm,
      artifact,
      target,
      key,
      passphrase: passphrases.value.get(key) ?? new Uint8Array(),
      before: digest.parse(seen.value[`before${i}`]),
      bytesPerSecond: body.rateBytesPerSecond,
    }),
  );
  for (const [i, volume] of volumes.entries()) {
    const setback = await renewVolume(context, volume, progressFrom(spec.value, context, i));
    if (setback !== undefined) return setback;
  }
  // libvirt's stored definition names the path of a copy since its pivot.
  await context.ports.hypervisor.define(definition.value);
  return testifyTo(command, context, volumes);
};

/** The record of a VM that arrived here in this epoch and may run. */
async function runsHere(vm: VmId, epoch: Epoch, { fence, ports }: StepContext): Promise<Outcome<VmSpec>> {
  const refuse = (setback: Setback): Outcome<VmSpec> => setBack(setback);
  const entry = await fence.read(vm);
  if (!entry.ok) return entry;
  if (entry.value?.epoch !== epoch || entry.value.role !== 'target') return refuse(refused('VM_NOT_HERE'));
  const forbidden = forbidsRunning(entry.value);
  if (forbidden !== undefined) return refuse(forbidden);
  const spec = await readVm(ports.files, ports.paths, vm);
  return spec === undefined ? refuse(refused('VM_NOT_HERE')) : done(spec);
}

/** Headers before the first effect: what is another one later has another volume key. */
async function firstSeen(command: Reencrypt, { disks }: VmSpec, context: StepContext): Promise<Outcome<Seen>> {
  const logged = context.log.intent(keyOf(command))?.seen;
  if (logged !== undefined) return done(logged);
  const entries: [string, string][] = [];
  for (const [i, { artifact, target }] of disks.entries()) {
    const header = await headerOf(context, { vm: command.vm, artifact, target });
    if (!header.ok) return header;
    entries.push([`before${i}`, header.value]);
  }
  return done(await context.intend(Object.fromEntries(entries)));
}

/** By the disks' sizes: what a copy counts by itself grows with what the guest writes. */
function progressFrom({ disks }: VmSpec, context: StepContext, index: number): (progress: StepProgress) => void {
  const sizes = disks.map(({ capacityBytes }) => capacityBytes);
  const sum = (some: readonly number[]): number => some.reduce((total, size) => total + size, 0);
  const [before, after] = [sum(sizes.slice(0, index)), sum(sizes.slice(index + 1))];
  return ({ doneBytes, totalBytes, bytesPerSecond }) =>
    context.progress({ doneBytes: before + doneBytes, totalBytes: before + totalBytes + after, bytesPerSecond });
}

async function testifyTo(command: Reencrypt, context: StepContext, volumes: readonly Volume[]) {
  const renewed: Renewed[] = [];
  for (const volume of volumes) {
    const after = await provenVolume(context, volume);
    if (!after.ok) return after.setback;
    renewed.push({ artifact: volume.artifact, before: volume.before, after: after.value });
  }
  const each = renewed.flatMap(({ artifact, before, after }, i) => [
    [`artifact${i}`, artifact],
    [`before${i}`, before],
    [`after${i}`, after],
  ]);
  const facts = { volumes: volumes.length, ...Object.fromEntries(each) };
  return finished({ step: 'reencrypt', volumes: renewed }, testify(context, command, 'reencrypted', facts));
}
