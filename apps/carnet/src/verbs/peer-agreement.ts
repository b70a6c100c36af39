import type { Command } from 'commander';
import { count } from '../arguments.ts';
import { EXIT, VerbError } from '../exit.ts';
import type { Column } from '../output.ts';
import { answered, type Streams, worldOf } from '../world.ts';

interface Terms {
  readonly version: number;
  readonly modes: readonly string[];
  readonly algorithms: readonly string[];
  readonly escrow?: { readonly threshold: number; readonly shares: number };
  readonly retentionDays: number;
  readonly jurisdictions: readonly string[];
  readonly rollbackWindowSecondsMax: number;
  readonly notBefore: string;
  readonly notAfter: string;
}
interface Row {
  readonly terms: Terms;
  readonly proposer: string;
  readonly proposal: string;
  readonly acceptance?: string;
}
interface Agreed {
  readonly inForce?: Row;
  readonly open: readonly Row[];
}

const columns: readonly Column<Row>[] = [
  { name: 'state', cell: (row) => (row.acceptance === undefined ? 'proposed' : 'in force') },
  { name: 'version', cell: ({ terms }) => terms.version },
  { name: 'by', cell: (row) => row.proposer },
  { name: 'modes', cell: ({ terms }) => terms.modes.join(', ') },
  { name: 'jurisdictions', cell: ({ terms }) => terms.jurisdictions.join(', ') },
  {
    name: 'escrow',
    cell: ({ terms }) =>
      terms.escrow === undefined ? 'none' : `at least ${terms.escrow.threshold} of at most ${terms.escrow.shares}`,
  },
  { name: 'window', cell: ({ terms }) => `${terms.rollbackWindowSecondsMax} s` },
  { name: 'retention', cell: ({ terms }) => `${terms.retentionDays} days` },
  { name: 'algorithms', cell: ({ terms }) => terms.algorithms.join(', ') },
  { name: 'from', cell: ({ terms }) => terms.notBefore },
  { name: 'until', cell: ({ terms }) => terms.notAfter },
  { name: 'proposal', cell: (row) => row.proposal },
];

const TEXT = `One side proposes, the other accepts that very event: both have then signed the same terms, in ledgers that neither can change. Versions
follow one another; of two proposals that cross, the one of the CSP whose name sorts first counts. From then on neither begins a migration
outside of the terms: of another mode, algorithm or time, to a target that answers to other jurisdictions, or with a longer rollback window.
A receiver escrows keys by no easier quorum than the terms say, and by none where they say none. Carnet deletes no ledger: for how long it
is kept binds who runs the broker. Before the first agreement, the configuration of each broker
decides alone.`;

interface ProposeOptions {
  readonly modes: string;
  readonly jurisdictions: string;
  readonly algorithms: string;
  readonly escrow?: string;
  readonly retentionDays: number;
  readonly rollbackSeconds: number;
  readonly days: number;
}

const DAY_MS = 86_400_000;
const listOf = (text: string): readonly string[] => text.split(',').map((one) => one.trim());

/** Terms between two CSPs, under `carnet peer`. */
export function agreementVerbs(group: Command, streams: Streams): void {
  const pathOf = (peer: string, more = ''): string => `/v1/peers/${encodeURIComponent(peer)}/agreement${more}`;
  const rowsOf = ({ inForce, open }: Agreed): readonly Row[] => (inForce === undefined ? open : [inForce, ...open]);
  group
    .command('agreement <peer>')
    .description('the terms in force, and what is proposed')
    .addHelpText('after', `\n${TEXT}`)
    .action(async (peer: string, _options: unknown, command: Command) => {
      const world = worldOf(command, streams);
      const broker = await world.broker();
      await world.list(rowsOf(answered(await broker.get<Agreed>(pathOf(peer)))), columns);
    });
  group
    .command('propose <peer>')
    .description('propose terms, in the ledger that the peer reads (administrator)')
    .requiredOption('--modes <modes>', 'in which VMs may move, e.g. cold,suspend')
    .requiredOption('--jurisdictions <codes>', 'where VMs may be kept, e.g. DE,FR')
    .requiredOption('--days <days>', 'until the agreement ends', count)
    .option('--algorithms <names>', 'how keys are sealed', 'x25519-ml-kem-768')
    .option('--escrow <m/n>', 'quorum that a receiver may keep shares with, e.g. 2/3 (default: none)')
    .option('--retention-days <days>', 'how long ledgers are kept', count, 3_650)
    .option('--rollback-seconds <seconds>', 'the longest rollback window', count, 3_600)
    .addHelpText('after', `\n${TEXT}`)
    .action(async (peer: string, options: ProposeOptions, command: Command) => {
      const world = worldOf(command, streams);
      const broker = await world.broker();
      const row = answered(await broker.post<Row>(pathOf(peer, '/proposals'), termsOf(options, streams.nowMs())));
      await world.show(row, columns);
    });
  group
    .command('accept <peer> <proposal>')
    .description('accept a peer’s proposal, by the digest that `agreement` shows (administrator)')
    .addHelpText('after', `\n${TEXT}`)
    .action(async (peer: string, proposal: string, _options: unknown, command: Command) => {
      const world = worldOf(command, streams);
      const broker = await world.broker();
      await world.list(rowsOf(answered(await broker.post<Agreed>(pathOf(peer, '/accept'), { proposal }))), columns);
    });
}

function termsOf(of: ProposeOptions, nowMs: number): Omit<Terms, 'version'> {
  return {
    modes: listOf(of.modes),
    algorithms: listOf(of.algorithms),
    ...(of.escrow === undefined ? {} : { escrow: quorumOf(of.escrow) }),
    retentionDays: of.retentionDays,
    jurisdictions: listOf(of.jurisdictions),
    rollbackWindowSecondsMax: of.rollbackSeconds,
    notBefore: new Date(nowMs).toISOString(),
    notAfter: new Date(nowMs + of.days * DAY_MS).toISOString(),
  };
}

function quorumOf(text: string): NonNullable<Terms['escrow']> {
  const [, threshold, shares] = /^(\d+)\/(\d+)$/.exec(text) ?? [];
  if (threshold === undefined || shares === undefined)
    throw new VerbError(EXIT.usage, 'ARGUMENT_INVALID', `expected a quorum such as 2/3, got ${text}`);
  return { threshold: Number(threshold), shares: Number(shares) };
}
