import type { Command } from 'commander';
import { EXIT, VerbError } from '../exit.ts';
import type { Column } from '../output.ts';
import { answered, type Streams, worldOf } from '../world.ts';

interface Items<R> {
  readonly items: readonly R[];
}

/** `<group> list`, or another word for it, over one collection of the broker. */
export function listVerb<R>(
  group: Command,
  streams: Streams,
  path: string,
  description: string,
  columns: readonly Column<R>[],
  verb = 'list',
): void {
  group
    .command(verb)
    .description(description)
    .action(async (_options: unknown, command: Command) => {
      const world = worldOf(command, streams);
      const broker = await world.broker();
      await world.list(answered(await broker.get<Items<R>>(path)).items, columns);
    });
}

/** `<group> show <name>` where the broker has no address for one: found in the list. */
export function showFromList<R>(
  group: Command,
  streams: Streams,
  path: string,
  word: string,
  columns: readonly Column<R>[],
  isIt: (row: R, name: string) => boolean,
): void {
  group
    .command(`show <${word}>`)
    .description(`one ${word}`)
    .action(async (name: string, _options: unknown, command: Command) => {
      const world = worldOf(command, streams);
      const broker = await world.broker();
      const row = answered(await broker.get<Items<R>>(path)).items.find((one) => isIt(one, name));
      if (row === undefined)
        throw new VerbError(
          EXIT.refused,
          `${word.toUpperCase()}_UNKNOWN`,
          `no ${word} ${name} here`,
          `\`carnet ${word} list\` shows all.`,
        );
      await world.show(row, columns);
    });
}
