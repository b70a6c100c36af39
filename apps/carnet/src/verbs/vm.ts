import { readFileSync } from 'node:fs';
import { Command } from 'commander';
import { count, vmPath } from '../arguments.ts';
import { EXIT, VerbError } from '../exit.ts';
import { type Vm, vmColumns, vmDetailColumns } from '../rows.ts';
import { answered, type Streams, worldOf } from '../world.ts';
import { listVerb, showFromList } from './collection.ts';

interface CreateOptions {
  readonly image?: string;
  readonly capacity?: number;
  readonly vcpus: number;
  readonly memory: number;
  readonly kernel?: string;
  readonly initrd?: string;
  readonly cmdline: string;
  readonly stopped?: boolean;
}

const SHA256_HEX_CHARS = 64;

/** A SHA-256 as such, or `@FILE` that holds one, as `sha256sum` writes it. */
function digestArgument(value: string): string {
  if (!value.startsWith('@')) return value;
  try {
    return readFileSync(value.slice(1), 'utf8').trim().slice(0, SHA256_HEX_CHARS);
  } catch (cause) {
    throw new VerbError(EXIT.usage, 'ARGUMENT_INVALID', cause instanceof Error ? cause.message : String(cause));
  }
}

function bootOf({ kernel, initrd, cmdline }: CreateOptions): object {
  if (kernel === undefined && initrd === undefined) return { kind: 'disk' };
  if (kernel === undefined || initrd === undefined)
    throw new VerbError(EXIT.usage, 'ARGUMENT_INVALID', '--kernel and --initrd go together');
  return { kind: 'kernel', kernel: digestArgument(kernel), initrd: digestArgument(initrd), cmdline };
}

const creationOf = (name: string, options: CreateOptions): object => ({
  name,
  ...(options.image === undefined ? {} : { image: options.image }),
  ...(options.capacity === undefined ? {} : { capacityBytes: options.capacity }),
  vcpus: options.vcpus,
  memoryMiB: options.memory,
  boot: bootOf(options),
  start: options.stopped !== true,
});

export function vmVerbs(streams: Streams): Command {
  const group = new Command('vm').description('VMs that this CSP holds');
  listVerb<Vm>(group, streams, '/v1/vms', 'all VMs', vmColumns);
  showFromList<Vm>(group, streams, '/v1/vms', 'vm', vmDetailColumns, (vm, name) => vm.vm === name || vm.name === name);
  createVerb(group, streams);
  for (const [verb, power] of [
    ['start', 'on'],
    ['stop', 'off'],
  ] as const) {
    group
      .command(`${verb} <vm>`)
      .description(`${verb} a VM`)
      .action(async (vm: string, _options: unknown, command: Command) => {
        const world = worldOf(command, streams);
        const path = `${vmPath(vm)}/${power}`;
        const broker = await world.broker();
        await world.show(answered(await broker.act<Vm>('POST', path, {})), vmColumns);
      });
  }
  group
    .command('delete <vm>')
    .description('delete a VM; its keys are destroyed, so its disks can never be read again')
    .requiredOption('--yes', 'yes, for ever')
    .action(async (vm: string, _options: unknown, command: Command) => {
      const world = worldOf(command, streams);
      const path = vmPath(vm);
      const broker = await world.broker();
      await world.show(answered(await broker.act<{ readonly vm: string }>('DELETE', path)), [
        { name: 'vm', cell: (row) => row.vm },
      ]);
    });
  return group;
}

function createVerb(group: Command, streams: Streams): void {
  group
    .command('create <name>')
    .description('a VM on an encrypted disk of its own')
    .option('--image <name>', 'copy this registered image onto the disk')
    .option('--capacity <bytes>', 'size of a blank disk, or at least this much for an image', count)
    .option('--vcpus <n>', 'virtual processors', count, 1)
    .requiredOption('--memory <MiB>', 'memory in MiB', count)
    .option('--kernel <sha256>', "boot this kernel of the host's catalogue (else: boot from disk)")
    .option('--initrd <sha256>', 'with this initrd')
    .option('--cmdline <text>', 'and this kernel command line', 'console=ttyS0 quiet panic=-1')
    .option('--stopped', 'do not start it')
    .action(async (name: string, options: CreateOptions, command: Command) => {
      const world = worldOf(command, streams);
      const creation = creationOf(name, options);
      const broker = await world.broker();
      await world.show(answered(await broker.act<Vm>('POST', '/v1/vms', creation)), vmColumns);
    });
}
