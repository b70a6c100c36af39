import { readFileSync } from 'node:fs';
import { Command, InvalidArgumentError } from 'commander';
import { count, vmPath } from '../arguments.ts';
import { EXIT, VerbError } from '../exit.ts';
import { type Vm, vmColumns, vmDetailColumns } from '../rows.ts';
import { answered, type Streams, type World, worldOf } from '../world.ts';
import { listVerb, showFromList } from './collection.ts';
import { ownerVerb } from './vm-owner.ts';

interface CreateOptions {
  readonly project?: string;
  readonly image?: string;
  readonly capacity?: number;
  readonly vcpus: number;
  readonly memory: number;
  readonly kernel?: string;
  readonly initrd?: string;
  readonly cmdline: string;
  readonly stopped?: boolean;
  readonly vtpm?: boolean;
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
  ...(options.project === undefined ? {} : { project: options.project }),
  ...(options.image === undefined ? {} : { image: options.image }),
  ...(options.capacity === undefined ? {} : { capacityBytes: options.capacity }),
  vcpus: options.vcpus,
  memoryMiB: options.memory,
  boot: bootOf(options),
  start: options.stopped !== true,
  vtpm: options.vtpm === true,
});

export function vmVerbs(streams: Streams): Command {
  const group = new Command('vm').description('VMs that this CSP holds');
  listVerb<Vm>(group, streams, '/v1/vms', 'all VMs', vmColumns);
  showFromList<Vm>(group, streams, '/v1/vms', 'vm', vmDetailColumns, (vm, name) => vm.vm === name || vm.name === name);
  createVerb(group, streams);
  restrictVerbs(group, streams);
  ownerVerb(group, streams);
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

interface RestrictOptions {
  readonly project?: string;
  readonly label?: readonly string[];
  readonly level?: number;
  readonly jurisdictions?: string;
  readonly accreditation?: readonly string[];
  readonly onward?: boolean;
}

/** `any`, or names between commas, as the broker wants sets: sorted, each once. */
const jurisdictionsOf = (text: string): readonly string[] | null =>
  text === 'any' ? null : [...new Set(text.split(',').filter((one) => one !== ''))].toSorted();
function level(text: string): number {
  if (!/^[0-9]$/.test(text)) throw new InvalidArgumentError('expected 0 to 9');
  return Number(text);
}

async function restrict(vm: string, change: object, world: World): Promise<void> {
  const broker = await world.broker();
  await world.show(answered(await broker.post<Vm>(`${vmPath(vm)}/restrictions`, change)), vmColumns);
}

function restrictVerbs(group: Command, streams: Streams): void {
  group
    .command('restrict <vm>')
    .description('say what travels with the VM. Loosening is an administrator’s, at its home; away from it nobody loosens')
    .option('--project <name>', 'the project of its home that it belongs to')
    .option(
      '--label <name>',
      'a label; repeatable, replaces those that were there',
      (name: string, all: readonly string[] = []) => [...all, name],
    )
    .option('--level <0-9>', 'security level that a host must have', level)
    .option('--jurisdictions <list>', 'where it may go: all that its CSP answers to must be among them, e.g. DE,EU; `any`')
    .option(
      '--accreditation <accreditor:claim>',
      'who receives it must have this; repeatable, replaces those that were there',
      (name: string, all: readonly string[] = []) => [...all, name],
    )
    .option('--no-onward', 'who receives it may send it to its home only')
    .action(async (vm: string, { label, onward, jurisdictions, accreditation, ...rest }: RestrictOptions, command: Command) =>
      restrict(
        vm,
        {
          ...rest,
          ...(label === undefined ? {} : { labels: [...new Set(label)].toSorted() }),
          ...(jurisdictions === undefined ? {} : { jurisdictions: jurisdictionsOf(jurisdictions) }),
          ...(accreditation === undefined ? {} : { accreditations: [...new Set(accreditation)].toSorted() }),
          ...(onward === false ? { onward } : {}),
        },
        worldOf(command, streams),
      ),
    );
  for (const [verb, legalHold, description] of [
    ['hold', true, 'legal hold: the VM moves nowhere, and is not deleted'],
    ['release', false, 'lift a legal hold, as an administrator'],
  ] as const)
    group
      .command(`${verb} <vm>`)
      .description(description)
      .action(async (vm: string, _options: unknown, command: Command) => restrict(vm, { legalHold }, worldOf(command, streams)));
}

function createVerb(group: Command, streams: Streams): void {
  group
    .command('create <name>')
    .description('a VM on an encrypted disk of its own')
    .option('--project <name>', 'the project of this CSP that it, and its keys, belong to (else: default)')
    .option('--image <name>', 'copy this registered image onto the disk')
    .option('--capacity <bytes>', 'size of a blank disk, or at least this much for an image', count)
    .option('--vcpus <n>', 'virtual processors', count, 1)
    .requiredOption('--memory <MiB>', 'memory in MiB', count)
    .option('--kernel <sha256>', "boot this kernel of the host's catalogue (else: boot from disk)")
    .option('--initrd <sha256>', 'with this initrd')
    .option('--cmdline <text>', 'and this kernel command line', 'console=ttyS0 quiet panic=-1')
    .option('--stopped', 'do not start it')
    .option('--vtpm', 'with a TPM 2.0 of its own, whose state is encrypted under a key of the VM')
    .action(async (name: string, options: CreateOptions, command: Command) => {
      const world = worldOf(command, streams);
      const creation = creationOf(name, options);
      const broker = await world.broker();
      await world.show(answered(await broker.act<Vm>('POST', '/v1/vms', creation)), vmColumns);
    });
}
