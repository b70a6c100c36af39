import { Command, CommanderError, Option } from 'commander';
import { EXIT, EXIT_HELP, type ExitCode, Judged, VerbError } from './exit.ts';
import { FORMATS } from './output.ts';
import { OWN_CODES } from './own-codes.ts';
import { accreditationVerbs } from './verbs/accreditation.ts';
import { apiKeyVerbs } from './verbs/apikey.ts';
import { auditVerbs } from './verbs/audit.ts';
import { authorityVerbs } from './verbs/authority.ts';
import { busVerbs } from './verbs/bus.ts';
import { certVerbs } from './verbs/cert.ts';
import { checkVerbs } from './verbs/check.ts';
import { completionVerb } from './verbs/completion.ts';
import { consentVerbs } from './verbs/consent.ts';
import { contextVerbs } from './verbs/context.ts';
import { errorVerb } from './verbs/error.ts';
import { eventVerbs } from './verbs/event.ts';
import { imageVerbs } from './verbs/image.ts';
import { hostVerbs, peerVerbs } from './verbs/inventory.ts';
import { keyVerbs } from './verbs/key.ts';
import { migrationVerbs } from './verbs/migration.ts';
import { policyVerbs } from './verbs/policy.ts';
import { vmVerbs } from './verbs/vm.ts';
import type { Streams } from './world.ts';

/** The whole command line. Object, then action, as `openstack` has it. */
export function program(streams: Streams): Command {
  const root = new Command('carnet')
    .description('Move encrypted VMs and their keys between cloud providers.')
    .addOption(
      new Option('-f, --format <format>', 'how answers are written (default: table on a terminal, else json)').choices(FORMATS),
    )
    .option('-c, --columns <names>', 'only these columns, comma separated (table, csv, value)')
    // Collected: the auditor takes several, everyone else the last.
    .option(
      '--context <name>',
      'which broker, as whom (a name, or a path to a context file)',
      (name: string, before: readonly string[] = []) => [...before, name],
    )
    .addHelpText('after', `\n${EXIT_HELP}`);
  const verbs = [
    migrationVerbs(streams),
    vmVerbs(streams),
    consentVerbs(streams),
    accreditationVerbs(streams),
    imageVerbs(streams),
    keyVerbs(streams),
    peerVerbs(streams),
    hostVerbs(streams),
    policyVerbs(streams),
    eventVerbs(streams),
    apiKeyVerbs(streams),
    auditVerbs(streams),
    busVerbs(streams),
    certVerbs(streams),
    authorityVerbs(streams),
    checkVerbs(streams),
    contextVerbs(streams),
    errorVerb(streams),
  ];
  for (const verb of verbs) root.addCommand(verb);
  root.addCommand(completionVerb(streams, () => root));
  return withOverrides(root, streams);
}

/** Commander leaves by exceptions, writes through our streams, and says what is wrong in the form that all errors have. */
function withOverrides(command: Command, streams: Streams, path = command.name()): Command {
  command
    .exitOverride()
    .showHelpAfterError(`  \`${path} --help\` shows what it takes.`)
    .configureOutput({
      writeOut: streams.out,
      writeErr: streams.err,
      outputError: (text, write) => write(text.replace(/^error: /, 'carnet: USAGE: ')),
    });
  for (const sub of command.commands) withOverrides(sub, streams, `${path} ${sub.name()}`);
  return command;
}

const adviceOf = ({ advice, code }: VerbError): string | undefined =>
  advice ?? Object.entries(OWN_CODES).find(([own]) => own === code)?.[1].advice;

/** Runs one command line and says how the process shall end. Nothing is thrown. */
export async function run(args: readonly string[], streams: Streams): Promise<ExitCode> {
  try {
    await program(streams).parseAsync(args, { from: 'user' });
    return EXIT.done;
  } catch (cause) {
    if (cause instanceof CommanderError) return cause.exitCode === 0 ? EXIT.done : EXIT.usage;
    if (cause instanceof Judged) return cause.exit;
    if (cause instanceof VerbError) {
      streams.err(`carnet: ${cause.code}: ${cause.message}\n${adviceOf(cause) === undefined ? '' : `  ${adviceOf(cause)}\n`}`);
      return cause.exit;
    }
    streams.err(`carnet: INTERNAL: ${cause instanceof Error ? cause.message : String(cause)}\n`);
    return EXIT.failed;
  }
}
