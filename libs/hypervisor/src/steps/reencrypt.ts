import { type ArtifactId, type Digest, digest, type VmDisk, type VmSpec } from '@carnet/events';
import { refused, type Setback } from '../codes.ts';
import type { CommandOf } from '../command/command.ts';
import type { StepProgress } from '../command/report.ts';
import type { ResultOf } from '../command/result.ts';
import { forbidsRunning } from '../fence/moves.ts';
import { done, type Outcome, setBack } from '../outcome.ts';
import type { Seen } from '../step-log.ts';
import { readVm, writeVm } from '../vm-record.ts';
import { definitionOf, dropSecrets, provideSecrets } from './domains.ts';
import { encryptOnline, type Held } from './reencrypt-volume.ts';
import { finished, openPassphrases, type Step, type StepContext, testify } from './step.ts';
import { keyOf } from './step-key.ts';

type Reencrypt = CommandOf<'reencrypt'>;
type Reencrypted = ResultOf<'reencrypt'>['volumes'][number];

/**
 * Takes the volumes of a VM that runs here away from whoever knew their keys: each is mirrored to a new one, the guest goes on on that, and
 * the old one is shredded. A guest that has stopped by itself is encrypted again as it lies. There is no giving back any more: what cannot be
 * done leaves the VM as it is, and is asked for again.
 */
export const reencrypt: Step<'reencrypt'> = async (command, context) => {
  const { vm, epoch } = command;
  const { ports, fence } = context;
  const entry = await fence.read(vm);
  if (!entry.ok) return entry.setback;
  if (entry.value?.epoch !== epoch) return refused('VM_NOT_HERE');
  const stop = forbidsRunning(entry.value);
  if (stop !== undefined) return stop;
  const spec = await readVm(ports.files, ports.paths, vm);
  if (spec === undefined) return refused('VM_NOT_HERE');
  const volumes = await heldVolumes(command, context, spec);
  if (!volumes.ok) return volumes.setback;
  const befores = await firstSeen(command, context, volumes.value);
  if (!befores.ok) return befores.setback;

  const after: Reencrypted[] = [];
  for (const [i, volume] of volumes.value.entries()) {
    const before = befores.value[i] ?? impossible(volume.disk.artifact);
    const made = await encryptOnline(context, { ...volume, before }, progressFrom(command, context, i));
    if (!made.ok) return made.setback;
    after.push({ artifact: volume.disk.artifact, before, after: made.value });
  }
  const setback = await takeNewKeys(command, context, spec, volumes.value);
  if (setback !== undefined) return setback;
  return finished({ step: 'reencrypt', volumes: after }, testifyTo(command, context, after));
};

const impossible = (artifact: ArtifactId): never => {
  throw new Error(`nothing was seen of ${artifact}`);
};

async function heldVolumes(
  command: Reencrypt,
  context: StepContext,
  spec: VmSpec,
): Promise<Outcome<readonly Omit<Held, 'before'>[]>> {
  const { vm, body } = command;
  const secrets = body.volumes.flatMap(({ from, to }) => [from, to]);
  const opened = await openPassphrases(
    context,
    command,
    secrets.map(({ key }) => key),
    secrets,
    'rekey',
  );
  if (!opened.ok) return opened;
  const of = (key: VmDisk['key']): Uint8Array => opened.value.get(key) ?? new Uint8Array();
  const held: Omit<Held, 'before'>[] = [];
  for (const { artifact, from, to } of body.volumes) {
    const disk = spec.disks.find((one) => one.artifact === artifact);
    if (disk === undefined) return setBack(refused('ARTIFACT_MISSING', `(${artifact})`));
    held.push({ vm, disk, newKey: to.key, from: of(from.key), to: of(to.key) });
  }
  return done(held);
}

/** Headers before the first effect, from the log when there was one: afterwards the volumes no longer show them. */
async function firstSeen(
  command: Reencrypt,
  context: StepContext,
  volumes: readonly Omit<Held, 'before'>[],
): Promise<Outcome<readonly Digest[]>> {
  const { artifacts, paths } = context.ports;
  const readBefores = (seen: Seen): readonly Digest[] => volumes.map((_, i) => digest.parse(seen[`before${i}`]));
  const logged = context.log.intent(keyOf(command))?.seen;
  if (logged !== undefined) return done(readBefores(logged));
  const entries: [string, string][] = [];
  for (const [i, { vm, disk }] of volumes.entries()) {
    const header = await artifacts.guard(paths.volume(vm, disk.artifact));
    if (!header.ok) return header;
    entries.push([`before${i}`, header.value.headerDigest]);
  }
  return done(readBefores(await context.intend(Object.fromEntries(entries))));
}

/** From here on the host knows the VM by its new keys; libvirt forgets the old ones, and the old volumes are gone. */
async function takeNewKeys(
  { vm }: Reencrypt,
  context: StepContext,
  spec: VmSpec,
  volumes: readonly Omit<Held, 'before'>[],
): Promise<Setback | undefined> {
  const { files, paths, hypervisor } = context.ports;
  const newKeyOf = (disk: VmDisk) => volumes.find((volume) => volume.disk.artifact === disk.artifact)?.newKey ?? disk.key;
  const own = { ...spec, disks: spec.disks.map((disk) => ({ ...disk, key: newKeyOf(disk) })) };
  const definition = await definitionOf(context, vm, own);
  if (!definition.ok) return definition.setback;
  await writeVm(files, paths, vm, own);
  await provideSecrets(context, vm, new Map(volumes.map(({ newKey, to }) => [newKey, to])));
  // libvirt has carried each pivot into its stored definition, under the name that the copy had.
  await hypervisor.define(definition.value);
  const gone = volumes.map(({ disk }) => disk.key).filter((key) => !own.disks.some((disk) => disk.key === key));
  await dropSecrets(context, gone);
  return undefined;
}

/** Bytes of this disk after those of the disks before it. */
function progressFrom({ body }: Reencrypt, context: StepContext, index: number): (progress: StepProgress) => void {
  const sizes = body.volumes.map(({ capacityBytes }) => capacityBytes);
  const sum = (some: readonly number[]): number => some.reduce((total, size) => total + size, 0);
  const [before, totalBytes] = [sum(sizes.slice(0, index)), sum(sizes)];
  return ({ doneBytes, bytesPerSecond }) => context.progress({ doneBytes: before + doneBytes, totalBytes, bytesPerSecond });
}

function testifyTo(command: Reencrypt, context: StepContext, volumes: readonly Reencrypted[]) {
  const each = volumes.flatMap(({ artifact, before, after }, i) => [
    [`artifact${i}`, artifact],
    [`before${i}`, before],
    [`after${i}`, after],
  ]);
  const facts = { method: 'full-online', volumes: volumes.length, oldKeysRefused: true };
  return testify(context, command, 'reencrypted', { ...facts, ...Object.fromEntries(each) });
}
