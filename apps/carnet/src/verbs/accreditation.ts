import { Command, InvalidArgumentError } from 'commander';
import type { Streams } from '../world.ts';
import type { IssueOptions, RevokeOptions, ShowOptions } from './accreditation-sign.ts';

const collect = (one: string, all: readonly string[] = []): readonly string[] => [...all, one];
function level(text: string): number {
  if (!/^[0-9]$/.test(text)) throw new InvalidArgumentError('expected 0 to 9');
  return Number(text);
}

const FILES = `CSPs keep accreditors in accreditors.json of their policy set, [{"issuer", "publicKey", "revocations"}]: the key as \`carnet accreditation
show --accreditor-key\` prints it, and the newest list that \`revoke\` made (the first one may be of no serial). Tokens that they know, of
their own and of peers, stand in accreditations.json, [token, …]. Whoever changes them raises the version in set.json.`;

/** What accreditors do, on their own machines: no broker is asked, and they may be offline whenever a token counts. */
export function accreditationVerbs(streams: Streams): Command {
  const group = new Command('accreditation')
    .description('accreditors’ signed word on CSPs (offline)')
    .addHelpText('after', `\n${FILES}`);
  group
    .command('issue')
    .description('sign a token about a CSP, and print it')
    .requiredOption('--issuer <name>', 'the accreditor, e.g. accreditor.example')
    .requiredOption('--subject <domain>', 'trust domain of the CSP')
    .requiredOption('--claim <name>', 'what it has, e.g. c5; repeatable', collect)
    .option('--level <0-9>', 'the highest security level that was seen there', level)
    .requiredOption('--serial <text>', 'by which it is revoked')
    .option('--not-before <time>', 'RFC 3339, UTC, milliseconds (default: now)')
    .requiredOption('--not-after <time>', 'it counts no longer')
    .requiredOption('--key <file>', 'the accreditor’s Ed25519 private key (PKCS #8 PEM, mode 600)')
    .option('--passphrase-file <file>', 'its passphrase, if it is encrypted (mode 600)')
    .action(async (options: IssueOptions) => (await import('./accreditation-sign.ts')).issue(options, streams));
  group
    .command('revoke')
    .description('sign the next list of all that this accreditor ever revoked, and print it')
    .requiredOption('--issuer <name>', 'the accreditor')
    .option('--after <file>', 'the list before: its serials stay, and the number goes up (default: this is the first)')
    .option('--serial <text>', 'revoke it, for ever; repeatable', collect)
    .requiredOption('--key <file>', 'the accreditor’s Ed25519 private key (PKCS #8 PEM, mode 600)')
    .option('--passphrase-file <file>', 'its passphrase, if it is encrypted (mode 600)')
    .action(async (options: RevokeOptions) => (await import('./accreditation-sign.ts')).revoke(options, streams));
  group
    .command('show <file>')
    .description('what a token or a list of revocations says, and whether this accreditor signed it (else exit 3)')
    .requiredOption('--accreditor-key <file>', 'the accreditor’s Ed25519 public key (PEM)')
    .action(async (file: string, options: ShowOptions) => (await import('./accreditation-sign.ts')).show(file, options, streams));
  return group;
}
