import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createRequire } from 'node:module';
import { Command } from 'commander';
import { EXIT, VerbError } from '../exit.ts';
import type { Streams } from '../world.ts';

/**
 * The auditor is a program of its own, so that it can be run by people who trust neither broker nor this command line. Here it
 * is only started, with the same words.
 */
export function auditVerbs(streams: Streams): Command {
  const group = new Command('audit').description('re-derive everything from the ledgers: signatures, chains, states, key custody');
  for (const [verb, description] of [
    ['verify', 'verify exports (files) or live ledgers (--context, repeatable); compare both sides'],
    ['export', 'write every envelope exactly as chained, for an offline audit'],
  ] as const) {
    group
      .command(verb)
      .description(description)
      .allowUnknownOption()
      .argument('[arguments...]', `as of carnet-audit ${verb}; see carnet-audit ${verb} --help`)
      .helpOption(false)
      .action(async (args: readonly string[], _options: unknown, command: Command) => {
        const { format, context } = command.optsWithGlobals<{ readonly format: string; readonly context?: string }>();
        await runAuditor([verb, ...args, ...(format === 'json' ? ['--json'] : []), ...(context === undefined ? [] : ['--context', context])], streams);
      });
  }
  return group;
}

async function runAuditor(args: readonly string[], streams: Streams): Promise<void> {
  const main = createRequire(import.meta.url).resolve('@carnet/audit');
  const child = spawn(process.execPath, [main, ...args], { stdio: ['inherit', 'pipe', 'pipe'], env: streams.environment });
  child.stdout.setEncoding('utf8').on('data', (text: string) => streams.out(text));
  child.stderr.setEncoding('utf8').on('data', (text: string) => streams.err(text));
  await once(child, 'close');
  const code = child.exitCode;
  if (code === EXIT.done) return;
  if (code === EXIT.verificationFailed) throw new VerbError(EXIT.verificationFailed, 'AUDIT_DIVERGED', 'the ledgers do not verify; see above for the first divergence');
  throw new VerbError(code === EXIT.usage ? EXIT.usage : EXIT.failed, 'AUDIT_FAILED', `the auditor ended with ${code}`);
}
