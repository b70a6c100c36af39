import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { Command } from 'commander';
import { EXIT, VerbError } from '../exit.ts';
import type { GlobalOptions, Streams } from '../world.ts';

const VERBS = [
  ['verify', 'verify exports (files) or live ledgers (--context, repeatable); compare both sides'],
  ['proof', 'judge one proof against a CSP (`carnet peer proof`), with nothing but the federation root'],
  ['export', 'write every envelope exactly as chained, for an offline audit'],
] as const;

/**
 * The auditor is a program of its own, so that it can be run by people who trust neither broker nor this command line. Here it
 * is only started, with the same words.
 */
export function auditVerbs(streams: Streams): Command {
  const group = new Command('audit').description(
    're-derive everything from the ledgers: signatures, chains, states, key custody',
  );
  for (const [verb, description] of VERBS) {
    group
      .command(verb)
      .description(description)
      .allowUnknownOption()
      .argument('[arguments...]', `as of carnet-audit ${verb}; see carnet audit ${verb} --help`)
      // --help goes to the auditor, whose words these are.
      .helpOption(false)
      .action(async (args: readonly string[], _options: unknown, command: Command) => {
        const { format, context = [] } = command.optsWithGlobals<GlobalOptions>();
        const json = verb !== 'export' && format === 'json' ? ['--json'] : [];
        await runAuditor([verb, ...args, ...json, ...context.flatMap((name) => ['--context', name])], streams);
      });
  }
  return group;
}

async function runAuditor(args: readonly string[], { auditor, environment, out, err, interrupt }: Streams): Promise<void> {
  const child = spawn(process.execPath, [auditor(), ...args], { stdio: ['inherit', 'pipe', 'pipe'], env: environment });
  interrupt.addEventListener('abort', () => child.kill('SIGTERM'), { once: true });
  child.stdout.setEncoding('utf8').on('data', out);
  child.stderr.setEncoding('utf8').on('data', err);
  await once(child, 'close');
  switch (child.exitCode) {
    case EXIT.done:
      return;
    case EXIT.verificationFailed:
      if (args[0] === 'proof')
        throw new VerbError(EXIT.verificationFailed, 'PROOF_UNCONVINCING', 'the proof convinces nobody; see above for why');
      throw new VerbError(
        EXIT.verificationFailed,
        'AUDIT_DIVERGED',
        'the ledgers do not verify; see above for the first divergence',
      );
    case EXIT.usage:
    case EXIT.unreachable:
    case EXIT.refused:
      throw new VerbError(child.exitCode, 'AUDIT_FAILED', 'the auditor did not begin; its message stands above');
    default:
      throw new VerbError(EXIT.failed, 'AUDIT_FAILED', `the auditor ended with ${child.exitCode ?? child.signalCode}`);
  }
}
