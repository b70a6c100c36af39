import { Command } from 'commander';
import { EXIT, VerbError } from '../exit.ts';
import type { Column } from '../output.ts';
import { type Image, imageColumns } from '../rows.ts';
import { answered, type Streams, worldOf } from '../world.ts';
import { listVerb, showFromList } from './collection.ts';

interface Verdict {
  readonly name: string;
  readonly digest: string;
  readonly verified: boolean;
}
const verdictColumns: readonly Column<Verdict>[] = [
  { name: 'name', cell: (row) => row.name },
  { name: 'root', cell: (row) => row.digest },
  { name: 'verified', cell: (row) => String(row.verified), tone: (row) => (row.verified ? 'good' : 'bad') },
];

export function imageVerbs(streams: Streams): Command {
  const group = new Command('image').description('encrypted images that VMs are created from');
  listVerb<Image>(group, streams, '/v1/images', 'all images', imageColumns);
  showFromList<Image>(group, streams, '/v1/images', 'image', imageColumns, (image, name) => image.name === name);
  group
    .command('register <name> <file>')
    .description("encrypt a raw disk of the host's import folder into the store (a file name, no path)")
    .action(async (name: string, file: string, _options: unknown, command: Command) => {
      const world = worldOf(command, streams);
      const broker = await world.broker();
      await world.show(answered(await broker.act<Image>('POST', '/v1/images', { name, file })), imageColumns);
    });
  group
    .command('verify <name>')
    .description('read every chunk again and compare with the recorded root')
    .action(async (name: string, _options: unknown, command: Command) => {
      const world = worldOf(command, streams);
      const broker = await world.broker();
      const verdict = answered(await broker.act<Verdict>('POST', `/v1/images/${encodeURIComponent(name)}/verify`, {}));
      await world.show(verdict, verdictColumns);
      if (!verdict.verified) throw new VerbError(EXIT.verificationFailed, 'IMAGE_TAMPERED', `${name} is not what was registered`);
    });
  return group;
}
