import { timestamp } from '@carnet/events';
import { AUDIT_CODES, CONTEXT_CODES, ContextError, loadContext } from '@carnet/publisher';
import { Command, CommanderError } from 'commander';
import { AuditError, EXIT, EXIT_HELP, type ExitCode } from './exit.ts';
import { writeExport } from './io/fetch-export.ts';
import { renderReport } from './output.ts';
import { judgeProofFile } from './proof.ts';
import { renderProof } from './proof-output.ts';
import { trustOf, verify } from './verify.ts';

/** What the program sees of its process. */
export interface Streams {
  readonly out: (text: string) => void;
  readonly err: (text: string) => void;
  readonly environment: NodeJS.ProcessEnv;
  readonly nowMs: () => number;
}

type VerifyOptions = {
  readonly root?: string;
  readonly crls?: string;
  readonly policies?: string;
  readonly context: readonly string[];
  readonly checkpoint: readonly string[];
  readonly asOf?: string;
  readonly json?: true;
};
type ProofOptions = Pick<VerifyOptions, 'root' | 'crls' | 'context' | 'asOf' | 'json'>;
type ExportOptions = { readonly context: string; readonly out: string; readonly peer?: string };

const AS_OF = 'judge what is archived by this clock, e.g. 2026-11-23T12:00:00.000Z (default: now)';
const PROOF_HELP = `
Convinced is nobody by the word of whoever brings the file: both pieces must be signed by keys that certificates of the accused introduced, and
contradict each other, or what the accused signed of its audience's ledger. No broker is asked; --context only names a root.`;

/** An option that may be repeated. */
const collected = (name: string, all: readonly string[]): readonly string[] => [...all, name];

const VERIFY_HELP = `
Verified are, of every event: envelope, signature, certificate path as of then, key at that position, chain, causes, schema, the
fold of both ledgers, evidence by the pinned agents, the signed request and approvals, policy decisions, destruction receipts, and that the VM
never had two holders. Copies of one ledger are compared: a shorter one is an unsettled tail, another digest at one position a fork.

Verdicts: proven to head N | unsettled tail | diverged`;

export function program(streams: Streams, end: (code: ExitCode) => void): Command {
  const root = new Command('carnet-audit')
    .description('Re-derives everything from the ledgers of two cloud providers, and trusts nothing but the federation root.')
    .addHelpText('after', `\n${EXIT_HELP}`)
    .showHelpAfterError('(carnet-audit --help lists everything)');
  root
    .command('verify')
    .description('verify export files, or live ledgers, or both; compare both sides')
    .argument('[files...]', 'exports, as `carnet-audit export` or GET /v1/export writes them')
    .option('--root <file>', 'federation root, PEM (default: that of the first context)')
    .option('--crls <directory>', 'revocation lists, *.der (default: crls beside the root)')
    .option(
      '--policies <directory>',
      'policy sets of a CSP (its archive, or one set): its decisions are made again and must agree',
    )
    .option('--context <name>', 'a broker to ask, by a context file of carnet; repeatable', collected, [])
    .option(
      '--checkpoint <file>',
      'a checkpoint that was kept (`carnet event checkpoints --of`): the ledger must still contain it; repeatable',
      collected,
      [],
    )
    .option('--as-of <time>', AS_OF)
    .option('--json', 'the report as JSON, by the schema `auditReport`')
    .addHelpText('after', `${VERIFY_HELP}\n\n${EXIT_HELP}`)
    .action(async (files: readonly string[], options: VerifyOptions) => end(await runVerify(files, options, streams)));
  proofVerb(root, streams, end);
  root
    .command('export')
    .description("write a broker's ledgers to a file, every envelope exactly as chained, for an offline audit")
    .requiredOption('--context <name>', 'the broker to ask, by a context file of carnet')
    .requiredOption('--out <file>', 'the file to write; never overwritten')
    .option('--peer <domain>', 'only the ledgers shared with this CSP')
    .addHelpText('after', `\n${EXIT_HELP}`)
    .action(async ({ context, out, peer }: ExportOptions) => {
      const ledgers = await writeExport(loadContext(context, streams.environment), out, peer);
      streams.err(`${out}: ${ledgers} ledgers\n`);
    });
  for (const command of [root, ...root.commands])
    command.exitOverride().configureOutput({ writeOut: streams.out, writeErr: streams.err });
  return root;
}

function proofVerb(root: Command, streams: Streams, end: (code: ExitCode) => void): void {
  root
    .command('proof')
    .description('judge one proof against a CSP: who signed what, and what it contradicts')
    .argument('<file>', 'a proof, as `carnet peer proof` or GET /v1/peers/{peer}/proof writes it')
    .option('--root <file>', 'federation root, PEM (default: that of the first context)')
    .option('--crls <directory>', 'revocation lists, *.der (default: crls beside the root)')
    .option('--context <name>', 'a context file of carnet, for its root; repeatable', collected, [])
    .option('--as-of <time>', AS_OF)
    .option('--json', 'the verdict as JSON, by the schema `proofVerdict`')
    .addHelpText('after', `${PROOF_HELP}\n\n${EXIT_HELP}`)
    .action((file: string, { root: rootFile, crls, context, asOf, json }: ProofOptions) => {
      const contexts = context.map((name) => loadContext(name, streams.environment));
      const trust = trustOf(
        { ...(rootFile === undefined ? {} : { root: rootFile }), ...(crls === undefined ? {} : { crls }) },
        contexts,
      );
      const verdict = judgeProofFile(file, trust, asOf === undefined ? streams.nowMs() : clockOf(asOf));
      streams.out(json === true ? `${JSON.stringify(verdict, undefined, 2)}\n` : renderProof(verdict));
      end(verdict.convinces ? EXIT.done : EXIT.verificationFailed);
    });
}

async function runVerify(
  files: readonly string[],
  { root, crls, policies, context, checkpoint, asOf, json }: VerifyOptions,
  streams: Streams,
): Promise<ExitCode> {
  const report = await verify({
    files,
    contexts: context,
    checkpoints: checkpoint,
    ...(root === undefined ? {} : { root }),
    ...(crls === undefined ? {} : { crls }),
    ...(policies === undefined ? {} : { policies }),
    nowMs: asOf === undefined ? streams.nowMs() : clockOf(asOf),
    environment: streams.environment,
  });
  streams.out(json === true ? `${JSON.stringify(report, undefined, 2)}\n` : renderReport(report));
  return report.divergence === undefined ? EXIT.done : EXIT.verificationFailed;
}

function clockOf(asOf: string): number {
  const ms = timestamp.safeParse(asOf).success ? Date.parse(asOf) : Number.NaN;
  if (Number.isNaN(ms)) throw new AuditError('USAGE', EXIT.usage, `--as-of: expected a time such as 2026-11-23T12:00:00.000Z`);
  return ms;
}

/** Runs one command line and says how the process shall end. Nothing is thrown. */
export async function run(args: readonly string[], streams: Streams): Promise<ExitCode> {
  let code: ExitCode = EXIT.done;
  try {
    await program(streams, (ended) => {
      code = ended;
    }).parseAsync(args, { from: 'user' });
    return code;
  } catch (cause) {
    if (cause instanceof CommanderError) return cause.exitCode === 0 ? EXIT.done : EXIT.usage;
    if (cause instanceof AuditError) {
      streams.err(`carnet-audit: ${cause.code}: ${cause.message}\n  ${AUDIT_CODES[cause.code].advice}\n`);
      return cause.exit;
    }
    if (cause instanceof ContextError) {
      streams.err(`carnet-audit: ${cause.code}: ${cause.message}\n  ${CONTEXT_CODES[cause.code].advice}\n`);
      return EXIT.usage;
    }
    streams.err(`carnet-audit: INTERNAL: ${cause instanceof Error ? cause.message : String(cause)}\n`);
    return EXIT.failed;
  }
}
