import { Command } from 'commander';
import { type Entry, entryColumns } from '../rows.ts';
import { render } from '../output.ts';
import { type Streams, valueOf, worldOf } from '../world.ts';

export function eventVerbs(streams: Streams): Command {
  const group = new Command('event').description('events of the ledgers, both directions');
  group
    .command('follow')
    .description('every event from a cursor on, then live; Ctrl-C ends it')
    .option('--after <cursor>', 'start after this cursor of an earlier answer (default: from the beginning)', '')
    .option('--type <type>', 'only this type, e.g. KeyReleased')
    .action(async (options: { readonly after: string; readonly type?: string }, command: Command) => {
      const world = worldOf(command, streams);
      const format = world.format === 'table' ? 'value' : 'jsonl';
      for await (const entry of world.broker().follow<Entry>(options.after, streams.interrupt)) {
        if (options.type === undefined || entry.type === options.type) streams.out(render([entry], entryColumns, format));
      }
    });
  group
    .command('get <digest>')
    .description('one event by the SHA-256 of its envelope')
    .option('--envelope', 'the DSSE envelope exactly as it is chained, nothing else')
    .action(async (digest: string, options: { readonly envelope?: boolean }, command: Command) => {
      const world = worldOf(command, streams);
      const entry = valueOf(await world.broker().get<Entry>(`/v1/events/${encodeURIComponent(digest)}`));
      if (options.envelope === true) return streams.out(Buffer.from(entry.envelope, 'base64').toString('utf8'));
      world.show(entry, [...entryColumns, { name: 'event', cell: (row) => JSON.stringify(row.event) }]);
    });
  return group;
}
