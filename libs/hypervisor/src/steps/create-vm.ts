import { keysOf, type VmDisk } from '@carnet/events';
import { refused, type Setback } from '../codes.ts';
import type { CommandOf } from '../command/command.ts';
import type { VolumeFacts } from '../command/result.ts';
import { capacityAt, roomFor } from '../leases.ts';
import { isNameTaken, readVm, writeVm } from '../vm-record.ts';
import { definitionOf, stateOf } from './domains.ts';
import { keepPermit } from './permit.ts';
import { finished, luksPassphrase, moveFor, openPassphrases, openSecret, type Step, type StepContext } from './step.ts';

type CreateVm = CommandOf<'createVm'>;

/** Makes a VM whose disks are encrypted from their first byte. Repeated after a crash, it finishes what is missing. */
export const createVm: Step<'createVm'> = async (command, context) => {
  const { vm, body } = command;
  const { ports } = context;
  const present = await isPresent(command, context);
  if (present !== undefined) return present;
  if (await isNameTaken(ports.files, ports.paths, vm, body.spec.name)) return refused('NAME_TAKEN');
  const definition = await definitionOf(context, vm, body.spec);
  if (!definition.ok) return definition.setback;
  const noRoom = await lacksRoom(command, context);
  if (noRoom !== undefined) return noRoom;
  const passphrases = await openPassphrases(context, command, keysOf(body.spec), body.secrets);
  if (!passphrases.ok) return passphrases.setback;
  const unpermitted = await keepPermit(context, command);
  if (unpermitted !== undefined) return unpermitted;

  await context.intend({});
  const enrolled = await moveFor(context, command, { kind: 'enroll' });
  if (!enrolled.ok) return enrolled.setback;
  await ports.files.ensureDir(ports.paths.home(vm));
  const volumes: VolumeFacts[] = [];
  for (const [index, disk] of body.spec.disks.entries()) {
    const made = await makeVolume(command, context, disk, index, passphrases.value.get(disk.key) ?? new Uint8Array());
    if ('status' in made) return made;
    volumes.push(made);
  }
  await writeVm(ports.files, ports.paths, vm, body.spec);
  await ports.hypervisor.define(definition.value);
  return finished({ step: 'createVm', volumes });
};

/** A VM of the same content is one that was begun or made before: it is finished. Anything else in its place is a stranger. */
async function isPresent({ vm, body }: CreateVm, context: StepContext): Promise<Setback | undefined> {
  const { files, paths } = context.ports;
  const known = await readVm(files, paths, vm);
  if (known !== undefined) return JSON.stringify(known) === JSON.stringify(body.spec) ? undefined : refused('VM_PRESENT');
  const entry = await context.fence.read(vm);
  if (!entry.ok) return entry.setback;
  // The folder is made after the register's entry, so a folder without one is nobody's unfinished work.
  const isStranger = (await files.size(paths.home(vm))) !== undefined && entry.value === undefined;
  return isStranger || (await stateOf(context, vm)) !== 'absent' ? refused('VM_PRESENT') : undefined;
}

async function lacksRoom({ vm, body }: CreateVm, { ports }: StepContext): Promise<Setback | undefined> {
  const room = await capacityAt(ports, ports.clock.now(), vm);
  const needed = roomFor(body.spec, 'none');
  if (needed.memoryMiB > room.memoryMiBFree - room.memoryMiBReserved)
    return refused('NO_ROOM', `It needs ${needed.memoryMiB} MiB of memory.`);
  return needed.volumeBytes > room.volumeBytesFree - room.volumeBytesReserved
    ? refused('NO_ROOM', `It needs ${needed.volumeBytes} bytes of disk.`)
    : undefined;
}

/** A volume appears under its name only when it is whole, so a repeat trusts what it finds. */
async function makeVolume(
  command: CreateVm,
  context: StepContext,
  disk: VmDisk,
  index: number,
  passphrase: Uint8Array,
): Promise<VolumeFacts | Setback> {
  const { vm, body } = command;
  const { ports } = context;
  const path = ports.paths.volume(vm, disk.artifact);
  if ((await ports.files.size(path)) === undefined) {
    const partial = `${path}.partial`;
    await ports.files.remove(partial);
    await ports.volumes.createBlank(partial, disk.capacityBytes, passphrase);
    if (index === 0 && body.from !== undefined) {
      const setback = await fillFromImage(command, body.from, context, {
        path: partial,
        passphrase,
        capacityBytes: disk.capacityBytes,
      });
      if (setback !== undefined) return setback;
    }
    await ports.files.rename(partial, path);
  }
  const header = await ports.artifacts.guard(path);
  return header.ok ? { artifact: disk.artifact, ...header.value } : header.setback;
}

async function fillFromImage(
  command: CreateVm,
  from: NonNullable<CreateVm['body']['from']>,
  context: StepContext,
  to: { readonly path: string; readonly passphrase: Uint8Array; readonly capacityBytes: number },
): Promise<Setback | undefined> {
  const { ports } = context;
  const image = await ports.artifacts.findImage(from.image);
  if (!image.ok) return image.setback;
  const header = await ports.artifacts.guard(image.value.path);
  if (!header.ok) return header.setback;
  if (header.value.capacityBytes > to.capacityBytes) return refused('SPEC_MISMATCH', 'The image is larger than the disk.');
  const dek = await openSecret(context, command, 'run', from.secret);
  if (!dek.ok) return dek.setback;
  const filled = await ports.volumes.copyInto({ path: image.value.path, passphrase: luksPassphrase(context, dek.value) }, to, {
    signal: context.signal,
  });
  return filled.ok ? undefined : filled.setback;
}
