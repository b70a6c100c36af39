import { Command } from 'commander';
import { EXIT, VerbError } from '../exit.ts';
import { type Column, type Format, render } from '../output.ts';
import { type Entry, entryColumns } from '../rows.ts';
import { answered, type Streams, verbErrorOf, type World, worldOf } from '../world.ts';

interface FollowOptions {
  readonly after: string;
  readonly type?: string;
}

/** Lines as they come: there is no end at which a table or an array could be closed. */
const lineFormat = (format: Format): Format => (format === 'table' || format === 'value' ? 'value' : 'jsonl');

async function follow({ after, type }: FollowOptions, world: World): Promise<void> {
  const { StreamRefused } = await import('@carnet/publisher');
  const broker = await world.broker();
  const columns = world.columnsOf(entryColumns);
  try {
    for await (const entry of broker.follow<Entry>(after)) {
      if (type !== undefined && entry.type !== type) continue;
      world.streams.out(await render([entry], columns, lineFormat(world.format), world.paint));
    }
  } catch (cause) {
    if (cause instanceof StreamRefused) throw verbErrorOf(cause.refused);
    throw cause;
  }
}

export function eventVerbs(streams: Streams): Command {
  const group = new Command('event').description('events of the ledgers, both directions');
  group
    .command('follow')
    .description('every event from a cursor on, then live, one a line; Ctrl-C ends it')
    .option('--after <cursor>', 'start after this cursor of an earlier answer (default: from the beginning)', '')
    .option('--type <type>', 'only this type, e.g. KeyReleased')
    .action((options: FollowOptions, command: Command) => follow(options, worldOf(command, streams)));
  group
    .command('get <digest>')
    .description('one event by the SHA-256 of its envelope')
    .option('--envelope', 'the DSSE envelope exactly as it is chained, nothing else')
    .action(async (digest: string, options: { readonly envelope?: boolean }, command: Command) => {
      const world = worldOf(command, streams);
      const broker = await world.broker();
      const entry = answered(await broker.get<Entry>(`/v1/events/${encodeURIComponent(digest)}`));
      if (options.envelope === true) return streams.out(Buffer.from(entry.envelope, 'base64').toString('utf8'));
      return world.show(entry, [...entryColumns, { name: 'event', cell: (row) => JSON.stringify(row.event) }]);
    });
  group
    .command('checkpoints')
    .description(
      'the newest checkpoint of each ledger: what both CSPs signed of it. Kept elsewhere, it proves a later cut or change',
    )
    .option(
      '--of <publisher>',
      'only the note of the ledger that this CSP writes, as it was signed: for `carnet-audit --checkpoint`',
    )
    .option('--to <audience>', 'with --of: the CSP that reads it')
    .action(async ({ of, to }: { readonly of?: string; readonly to?: string }, command: Command) => {
      const world = worldOf(command, streams);
      const broker = await world.broker();
      const { items } = answered(await broker.get<{ readonly items: readonly Checkpoint[] }>('/v1/checkpoints'));
      if (of === undefined) return world.list(items, checkpointColumns);
      const [first, ...others] = items.filter(({ publisher, audience }) => publisher === of && (to ?? audience) === audience);
      if (first !== undefined && others.length === 0) return streams.out(first.note);
      const what = first === undefined ? 'no checkpoint of that ledger was cosigned yet' : 'several ledgers: name one with --to';
      throw new VerbError(EXIT.usage, 'ARGUMENT_INVALID', what);
    });
  return group;
}

/** What the broker answers; only fields that are shown. */
interface Checkpoint {
  readonly publisher: string;
  readonly audience: string;
  readonly size: number;
  readonly note: string;
}
const checkpointColumns: readonly Column<Checkpoint>[] = [
  { name: 'publisher', cell: (one) => one.publisher },
  { name: 'audience', cell: (one) => one.audience },
  { name: 'events', cell: (one) => one.size },
  { name: 'root', cell: (one) => one.note.split('\n')[2] },
];
