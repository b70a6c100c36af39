import type { VmDisk, VmSpec } from '@carnet/events';
import { refused, type Setback } from '../codes.ts';
import type { CommandOf } from '../command/command.ts';
import { forbidsRunning } from '../fence/moves.ts';
import { done, type Outcome, setBack } from '../outcome.ts';
import type { Seen } from '../step-log.ts';
import { readVm, writeVm } from '../vm-record.ts';
import { definitionOf, dropSecrets, provideSecrets } from './domains.ts';
import { encryptOnline, type Held } from './reencrypt-volume.ts';
import { beforeOf, newKeyName, openVolumes, progressFrom, type Rekeyed, seenAtFirst, testifyNewKeys } from './rekeying.ts';
import { finished, type Step, type StepContext } from './step.ts';

type Reencrypt = CommandOf<'reencrypt'>;
type Opened = Omit<Held, 'before'>;

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
  const opened = await heldVolumes(command, context, spec);
  if (!opened.ok) return opened.setback;
  const seen = await seenAtFirst(command, context, () => look(context, opened.value));
  if (!seen.ok) return seen.setback;
  const volumes = opened.value.map((volume, i): Held => ({ ...volume, before: beforeOf(seen.value, i) }));

  const after: Rekeyed[] = [];
  for (const [i, volume] of volumes.entries()) {
    const made = await encryptOnline(context, volume, progressFrom(command, context, i));
    if (!made.ok) return made.setback;
    after.push({ artifact: volume.disk.artifact, before: volume.before, after: made.value });
  }
  const setback = await takeNewKeys(command, context, spec, volumes);
  if (setback !== undefined) return setback;
  const evidence = testifyNewKeys(command, context, 'reencrypted', 'full-online', after);
  return finished({ step: 'reencrypt', volumes: after }, evidence);
};

async function heldVolumes(command: Reencrypt, context: StepContext, spec: VmSpec): Promise<Outcome<readonly Opened[]>> {
  const opened = await openVolumes(command, context);
  if (!opened.ok) return opened;
  const held: Opened[] = [];
  for (const { artifact, newKey, from, to } of opened.value) {
    const disk = spec.disks.find((one) => one.artifact === artifact);
    if (disk === undefined) return setBack(refused('ARTIFACT_MISSING', `(${artifact})`));
    held.push({ vm: command.vm, disk, newKey, from, to });
  }
  return done(held);
}

async function look({ ports: { artifacts, paths } }: StepContext, volumes: readonly Opened[]): Promise<Outcome<Seen>> {
  const entries: [string, string][] = [];
  for (const [i, { vm, disk, newKey }] of volumes.entries()) {
    const header = await artifacts.guard(paths.volume(vm, disk.artifact));
    if (!header.ok) return header;
    entries.push([`before${i}`, header.value.headerDigest], [newKeyName(i), newKey]);
  }
  return done(Object.fromEntries(entries));
}

/** From here on the host knows the VM by its new keys; libvirt forgets the old ones, and the old volumes are gone. */
async function takeNewKeys(
  { vm, body }: Reencrypt,
  context: StepContext,
  spec: VmSpec,
  volumes: readonly Opened[],
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
  // By the command: an attempt that crashed here has written the record already.
  const gone = body.volumes.map(({ from }) => from.key).filter((key) => !own.disks.some((disk) => disk.key === key));
  await dropSecrets(context, gone);
  return undefined;
}
