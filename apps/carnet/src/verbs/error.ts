import { Command } from 'commander';
import { EXIT, VerbError } from '../exit.ts';
import type { Column } from '../output.ts';
import { type Streams, worldOf } from '../world.ts';

interface Known {
  readonly code: string;
  readonly from: string;
  readonly text: string;
  readonly advice: string;
}
const columns: readonly Column<Known>[] = [
  { name: 'code', cell: (row) => row.code },
  { name: 'from', cell: (row) => row.from },
  { name: 'text', cell: (row) => row.text },
  { name: 'advice', cell: (row) => row.advice },
];

export const errorVerb = (streams: Streams): Command =>
  new Command('error')
    .description('what a code means and what to do next; without a code: all of them')
    .argument('[code]', 'e.g. VM_NOT_HERE')
    // Loaded only here: the tables stand beside the code of every lib, and other verbs should not wait for all of it.
    .action(async (code: string | undefined, _options: unknown, command: Command) => {
      const { catalogue } = await import('../codes.ts');
      const world = worldOf(command, streams);
      if (code === undefined) return world.list(catalogue, columns);
      const found = catalogue.filter((one) => one.code === code.toUpperCase());
      if (found.length === 0) throw new VerbError(EXIT.usage, 'CODE_UNKNOWN', `no code ${code}`, '`carnet error` lists all.');
      // Two parts may use one word; each says what it means by it.
      const [only] = found;
      return found.length === 1 && only !== undefined ? world.show(only, columns) : world.list(found, columns);
    });
