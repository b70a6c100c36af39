import type { Command } from 'commander';
import { vmPath } from '../arguments.ts';
import { EXIT, VerbError } from '../exit.ts';
import type { Vm } from '../rows.ts';
import { vmColumns } from '../rows.ts';
import { answered, type Streams, worldOf } from '../world.ts';

interface OwnerOptions {
  readonly key?: string;
  readonly none?: boolean;
}

/** Who must consent to each move: named at the VM's home only, and from then on another's word. */
export function ownerVerb(group: Command, streams: Streams): void {
  group
    .command('owner <vm>')
    .description('name the owner, who then signs a consent to each move; at its home only. To change it takes an administrator')
    .option('--key <file>', 'the owner’s Ed25519 public key (PEM)')
    .option('--none', 'nobody has to consent any more')
    .action(async (vm: string, { key, none }: OwnerOptions, command: Command) => {
      if ((key === undefined) === (none === undefined))
        throw new VerbError(EXIT.usage, 'ARGUMENT_INVALID', 'expected one of --key, --none');
      const world = worldOf(command, streams);
      const owner = key === undefined ? null : (await import('../signing-key.ts')).publicKeyIn(key);
      const path = `${vmPath(vm)}/restrictions`;
      const broker = await world.broker();
      await world.show(answered(await broker.post<Vm>(path, { owner })), vmColumns);
    });
}
