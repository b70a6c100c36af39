import { Command } from 'commander';
import { count } from '../arguments.ts';
import { type Streams, worldOf } from '../world.ts';
import type { FencedOptions, ResumeOptions, SignOptions } from './break-glass-sign.ts';

const HELP = `After the deadline of a release that has no answer, and when the target stays lost:
  carnet migration break-glass case ID > case.json     at the source: what is to be signed; give it to all who sign
  carnet migration break-glass sign case.json …        two operators of the source, each with an own certificate
  carnet migration break-glass fenced case.json …      the VM’s owner, on an own machine, once sure that the target does not run the VM
  carnet migration break-glass resume ID …             at the source: decides, in the ledger that the target reads, if its policy set
                                                       lets each operator who signed (action break-glass)
What is at risk: if the target runs the VM nevertheless, it runs twice until the target hears of this. Then the target stops its copy
and keeps it (phase split-suspected), until an operator there discards it: \`carnet migration discard-copy ID\`.`;

const repeated = (one: string, all: readonly string[] | undefined): readonly string[] => [...(all ?? []), one];

/** Taking a VM back without the target's word. */
export function breakGlassVerbs(streams: Streams): Command {
  const group = new Command('break-glass').description(
    'take a VM back whose release has no answer: two persons and its owner sign',
  );
  group
    .command('case <migration>')
    .description('print what is to be signed, as JSON')
    .action(async (id: string, _options: unknown, command: Command) =>
      (await import('./break-glass-sign.ts')).printCase(id, worldOf(command, streams)),
    );
  group
    .command('sign <case>')
    .description('sign, with the certificate of this context, that the VM shall run at its source again; prints the statement')
    .requiredOption('--reason <text>', 'why, for the record')
    .option('--hours <n>', 'how long it is good: 24 at most', count, 4)
    .action(async (file: string, options: SignOptions, command: Command) =>
      (await import('./break-glass-sign.ts')).sign(file, options, worldOf(command, streams)),
    );
  group
    .command('fenced <case>')
    .description('the owner signs that the target does not run the VM, and will not (offline); prints the statement')
    .requiredOption('--reason <text>', 'how that is known, for the record')
    .requiredOption('--key <file>', 'the owner’s Ed25519 private key (PKCS #8 PEM, mode 600)')
    .option('--passphrase-file <file>', 'its passphrase, if it is encrypted (mode 600)')
    .option('--hours <n>', 'how long it is good: 24 at most', count, 4)
    .action(async (file: string, options: FencedOptions) =>
      (await import('./break-glass-sign.ts')).fenced(file, options, streams),
    );
  group
    .command('resume <migration>')
    .description('decide it, by these statements: the VM runs at its source again, in a new epoch')
    .requiredOption('--person <file>', 'a person’s statement; repeatable, two at least', repeated)
    .requiredOption('--owner <file>', 'the owner’s statement')
    .action(async (id: string, options: ResumeOptions, command: Command) =>
      (await import('./break-glass-sign.ts')).resume(id, options, worldOf(command, streams)),
    );
  group.addHelpText('after', `\n${HELP}`);
  return group;
}
