import { Command, Option } from 'commander';
import { count } from '../arguments.ts';
import type { Streams } from '../world.ts';
import type { SignOptions } from './consent-sign.ts';

const OWNER = `Make a key, once, and give the owner's public half to the home of the VM (\`carnet vm owner VM --key owner.pem\`):
  openssl genpkey -algorithm ed25519 -aes256 -out owner.key && chmod 600 owner.key
  openssl pkey -in owner.key -pubout -out owner.pem
The consent is bound to the disks, keys and machine of the VM as the file has them, to source and target, and to the window: from the
decision to the release of the keys. With --epoch it is good for that one attempt (\`carnet migration plan\` names it).
Nothing is sent: the consent is printed. Whoever starts the move gives it along: \`carnet migration start … --consent FILE\`.`;

/** What owners of VMs do, on their own machines: no broker is asked. */
export function consentVerbs(streams: Streams): Command {
  const group = new Command('consent').description('an owner’s consent to the move of a VM (offline, on the owner’s machine)');
  group
    .command('sign <vm-file>')
    .description('sign a consent for the VM in this file, as `carnet vm show VM --format json` printed it')
    .requiredOption('--from <domain>', 'trust domain of the CSP that holds it')
    .requiredOption('--to <domain>', 'trust domain of the CSP that shall run it')
    .addOption(
      new Option('--mode <mode>', 'repeatable')
        .choices(['cold', 'suspend'])
        .makeOptionMandatory()
        .argParser((mode: string, all: readonly string[] | undefined) => [...(all ?? []), mode]),
    )
    .option('--not-before <time>', 'RFC 3339, UTC, milliseconds (default: now)')
    .requiredOption('--not-after <time>', 'the keys are released before it, or not at all')
    .option('--epoch <n>', 'only for the attempt of this epoch', count)
    .option('--serial <text>', 'the owner’s own number for it (default: a random one)')
    .requiredOption('--key <file>', 'the owner’s Ed25519 private key (PKCS #8 PEM, mode 600)')
    .option('--passphrase-file <file>', 'its passphrase, if it is encrypted (mode 600)')
    .addHelpText('after', `\n${OWNER}`)
    .action(async (file: string, options: SignOptions) => (await import('./consent-sign.ts')).sign(file, options, streams));
  return group;
}
