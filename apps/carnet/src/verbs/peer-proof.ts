import { writeFileSync } from 'node:fs';
import type { Command } from 'commander';
import { EXIT, VerbError } from '../exit.ts';
import type { Column } from '../output.ts';
import { answered, type Streams, worldOf } from '../world.ts';

/** What the broker answers; `schemas/proof.json` has it. */
interface Proof {
  readonly accused: string;
  readonly audience: string;
  readonly code: string;
  readonly accusedEvents: readonly string[];
  readonly audienceEvents: readonly string[];
  readonly acknowledgement?: string;
}

const columns: readonly Column<Proof>[] = [
  { name: 'accused', cell: (proof) => proof.accused },
  { name: 'audience', cell: (proof) => proof.audience },
  { name: 'code', cell: (proof) => proof.code },
  { name: 'events of the accused', cell: (proof) => proof.accusedEvents.length },
  { name: 'events of the audience', cell: (proof) => proof.audienceEvents.length },
  { name: 'acknowledged', cell: (proof) => (proof.acknowledgement === undefined ? 'no' : 'yes') },
];

const TEXT = `A peer is frozen when it signed what contradicts itself (LEDGER_FORK), or an event that relies on one of ours that never was
(CAUSE_UNKNOWN). The file shows both pieces and what vouches for the keys under them. Whoever has it and the federation root needs neither
this broker nor its word:

  carnet peer proof csp-b.example --out proof.json
  carnet-audit proof proof.json --root root.pem

It shows the events that it needs, with what they say: of a CAUSE_UNKNOWN our whole ledger to that peer.`;

export function proofVerb(group: Command, streams: Streams): void {
  group
    .command('proof <peer>')
    .description('what convicts a frozen peer, for a third party')
    .option('--out <file>', 'the file to write; never overwritten (default: stdout, where -f json is the file)')
    .addHelpText('after', `\n${TEXT}`)
    .action(async (peer: string, { out }: { readonly out?: string }, command: Command) => {
      const world = worldOf(command, streams);
      const broker = await world.broker();
      const proof = answered(await broker.get<Proof>(`/v1/peers/${encodeURIComponent(peer)}/proof`));
      if (out === undefined) return world.show(proof, columns);
      write(out, `${JSON.stringify(proof)}\n`);
      streams.err(
        `carnet: ${out}: ${proof.code} of ${proof.accused}; \`carnet-audit proof ${out} --root root.pem\` says what it proves\n`,
      );
    });
}

/** Ledgers are shown to whom one wants to show them. */
function write(file: string, text: string): void {
  try {
    writeFileSync(file, text, { flag: 'wx', mode: 0o600 });
  } catch (cause) {
    throw new VerbError(EXIT.usage, 'ARGUMENT_INVALID', cause instanceof Error ? cause.message : String(cause));
  }
}
