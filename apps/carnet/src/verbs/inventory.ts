import { Command } from 'commander';
import {
  allKeyColumns,
  type Host,
  hostColumns,
  type Key,
  type KeyDetail,
  keyColumns,
  keyDetailColumns,
  type Peer,
  peerColumns,
} from '../rows.ts';
import { answered, type Streams, worldOf } from '../world.ts';
import { listVerb, showFromList } from './collection.ts';

export function keyVerbs(streams: Streams): Command {
  const group = new Command('key').description('key records: state, origin, provenance; never values');
  group
    .command('list')
    .description('keys as this CSP holds them now')
    .option('--all', 'also as they were held before they left and came back')
    .action(async ({ all }: { readonly all?: boolean }, command: Command) => {
      const world = worldOf(command, streams);
      const broker = await world.broker();
      const path = all === true ? '/v1/keys?former=true' : '/v1/keys';
      const { items } = answered(await broker.get<{ readonly items: readonly Key[] }>(path));
      await world.list(items, all === true ? allKeyColumns : keyColumns);
    });
  group
    .command('show <key>')
    .description('one key: every time it was held here, and its dated history')
    .action(async (id: string, _options: unknown, command: Command) => {
      const world = worldOf(command, streams);
      const broker = await world.broker();
      await world.show(answered(await broker.get<KeyDetail>(`/v1/keys/${encodeURIComponent(id)}`)), keyDetailColumns);
    });
  return group;
}

export function peerVerbs(streams: Streams): Command {
  const group = new Command('peer').description('peers, and how far the ledgers with each have come');
  listVerb(group, streams, '/v1/peers', 'all peers', peerColumns);
  showFromList<Peer>(group, streams, '/v1/peers', 'peer', peerColumns, (peer, name) => peer.domain === name);
  return group;
}

export function hostVerbs(streams: Streams): Command {
  const group = new Command('host').description('hypervisor hosts of this CSP');
  listVerb<Host>(group, streams, '/v1/hosts', 'all hosts', hostColumns);
  return group;
}
