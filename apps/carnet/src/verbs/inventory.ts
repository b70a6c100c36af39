import { readFileSync } from 'node:fs';
import { Command, Option } from 'commander';
import { EXIT, VerbError } from '../exit.ts';
import { hostColumns, type Host, type Image, imageColumns, type Key, keyColumns, keyDetailColumns, type Peer, peerColumns, type Vm, vmColumns } from '../rows.ts';
import type { Column } from '../output.ts';
import { type Streams, valueOf, worldOf } from '../world.ts';

/** `<group> list` over one collection of the broker. */
function listVerb<R>(group: Command, streams: Streams, path: string, description: string, columns: readonly Column<R>[]): void {
  group
    .command('list')
    .description(description)
    .action(async (_options: unknown, command: Command) => {
      const world = worldOf(command, streams);
      world.list(valueOf(await world.broker().get<{ readonly items: readonly R[] }>(path)).items, columns);
    });
}

/** `<group> show <name>` where the broker has no address for one: found in the list. */
function showFromList<R>(group: Command, streams: Streams, path: string, word: string, columns: readonly Column<R>[], isIt: (row: R, name: string) => boolean): void {
  group
    .command(`show <${word}>`)
    .description(`one ${word}`)
    .action(async (name: string, _options: unknown, command: Command) => {
      const world = worldOf(command, streams);
      const row = valueOf(await world.broker().get<{ readonly items: readonly R[] }>(path)).items.find((one) => isIt(one, name));
      if (row === undefined) throw new VerbError(EXIT.refused, `${word.toUpperCase()}_UNKNOWN`, `no ${word} ${name} here`);
      world.show(row, columns);
    });
}

export function keyVerbs(streams: Streams): Command {
  const group = new Command('key').description('key records: state, origin, provenance; never values');
  listVerb(group, streams, '/v1/keys', 'all keys of this CSP', keyColumns);
  group
    .command('show <key>')
    .description('one key with its dated history')
    .action(async (id: string, _options: unknown, command: Command) => {
      const world = worldOf(command, streams);
      world.show(valueOf(await world.broker().get<Key>(`/v1/keys/${encodeURIComponent(id)}`)), keyDetailColumns);
    });
  return group;
}

export function peerVerbs(streams: Streams): Command {
  const group = new Command('peer').description('peers, and how far the ledgers with each have come');
  listVerb(group, streams, '/v1/peers', 'all peers', peerColumns);
  showFromList<Peer>(group, streams, '/v1/peers', 'peer', peerColumns, (peer, name) => peer.domain === name);
  return group;
}

export function hostVerbs(streams: Streams): Command {
  const group = new Command('host').description('hypervisor hosts of this CSP');
  listVerb<Host>(group, streams, '/v1/hosts', 'all hosts', hostColumns);
  return group;
}

export function imageVerbs(streams: Streams): Command {
  const group = new Command('image').description('encrypted images that VMs are created from');
  listVerb<Image>(group, streams, '/v1/images', 'all images', imageColumns);
  showFromList<Image>(group, streams, '/v1/images', 'image', imageColumns, (image, name) => image.name === name);
  group
    .command('register <name> <file>')
    .description("encrypt a file of the host's import folder into the store (a file name, no path)")
    .addOption(new Option('--format <format>', 'what the file is: never guessed').choices(['raw', 'qcow2']).default('raw'))
    .action(async (name: string, file: string, options: { readonly format: string }, command: Command) => {
      const world = worldOf(command, streams);
      world.show(valueOf(await world.broker().post<Image>('/v1/images', { name, file, format: options.format })), imageColumns);
    });
  group
    .command('verify <name>')
    .description('read every chunk again and compare with the recorded root')
    .action(async (name: string, _options: unknown, command: Command) => {
      const world = worldOf(command, streams);
      const verdict = valueOf(await world.broker().post<{ readonly name: string; readonly digest: string; readonly verified: boolean }>(`/v1/images/${encodeURIComponent(name)}/verify`, {}));
      world.show(verdict, [
        { name: 'name', cell: (row) => row.name },
        { name: 'root', cell: (row) => row.digest },
        { name: 'verified', cell: (row) => String(row.verified) },
      ]);
      if (!verdict.verified) throw new VerbError(EXIT.verificationFailed, 'IMAGE_TAMPERED', `${name} is not what was registered`);
    });
  return group;
}

interface CreateOptions {
  readonly image?: string;
  readonly capacity?: string;
  readonly vcpus: string;
  readonly memory: string;
  readonly kernel?: string;
  readonly initrd?: string;
  readonly cmdline: string;
  readonly stopped?: boolean;
}

const bootOf = (options: CreateOptions): object =>
  options.kernel === undefined || options.initrd === undefined
    ? { kind: 'disk' }
    : { kind: 'kernel', kernel: digestArgument(options.kernel), initrd: digestArgument(options.initrd), cmdline: options.cmdline };

/** A SHA-256 as such, or `@FILE` that holds one. */
const digestArgument = (value: string): string => (value.startsWith('@') ? readFileSync(value.slice(1), 'utf8').trim().slice(0, 64) : value);

export function vmVerbs(streams: Streams): Command {
  const group = new Command('vm').description('VMs that this CSP holds');
  listVerb<Vm>(group, streams, '/v1/vms', 'all VMs', vmColumns);
  showFromList<Vm>(group, streams, '/v1/vms', 'vm', vmColumns, (vm, name) => vm.vm === name || vm.name === name);
  group
    .command('create <name>')
    .description('a VM on an encrypted disk of its own')
    .option('--image <name>', 'copy this registered image onto the disk')
    .option('--capacity <bytes>', 'size of a blank disk, or at least this much for an image')
    .option('--vcpus <n>', 'virtual processors', '1')
    .requiredOption('--memory <MiB>', 'memory in MiB')
    .option('--kernel <sha256>', "boot this kernel of the host's catalogue (else: boot from disk)")
    .option('--initrd <sha256>', 'with this initrd')
    .option('--cmdline <text>', 'and this kernel command line', 'console=ttyS0 quiet panic=-1')
    .option('--stopped', 'do not start it')
    .action(async (name: string, options: CreateOptions, command: Command) => {
      const world = worldOf(command, streams);
      const body = {
        name,
        ...(options.image === undefined ? {} : { image: options.image }),
        ...(options.capacity === undefined ? {} : { capacityBytes: Number(options.capacity) }),
        vcpus: Number(options.vcpus),
        memoryMiB: Number(options.memory),
        boot: bootOf(options),
        start: options.stopped !== true,
      };
      world.show(valueOf(await world.broker().post<Vm>('/v1/vms', body)), vmColumns);
    });
  for (const [verb, power] of [['start', 'on'], ['stop', 'off']] as const) {
    group
      .command(`${verb} <vm>`)
      .description(`${verb} a VM`)
      .action(async (vm: string, _options: unknown, command: Command) => {
        const world = worldOf(command, streams);
        world.show(valueOf(await world.broker().post<Vm>(`/v1/vms/${vm}/${power}`, {})), vmColumns);
      });
  }
  group
    .command('delete <vm>')
    .description('delete a VM; its keys are destroyed, so its disks can never be read again')
    .requiredOption('--yes', 'yes, for ever')
    .action(async (vm: string, _options: unknown, command: Command) => {
      const world = worldOf(command, streams);
      world.show(valueOf(await world.broker().delete<{ readonly vm: string }>(`/v1/vms/${vm}`)), [{ name: 'vm', cell: (row) => row.vm }]);
    });
  return group;
}
