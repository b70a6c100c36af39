import { Command } from 'commander';
import { type Host, hostColumns, type Key, keyColumns, keyDetailColumns, type Peer, peerColumns } from '../rows.ts';
import { answered, type Streams, worldOf } from '../world.ts';
import { listVerb, showFromList } from './collection.ts';

export function keyVerbs(streams: Streams): Command {
  const group = new Command('key').description('key records: state, origin, provenance; never values');
  listVerb(group, streams, '/v1/keys', 'all keys of this CSP', keyColumns);
  group
    .command('show <key>')
    .description('one key with its dated history')
    .action(async (id: string, _options: unknown, command: Command) => {
      const world = worldOf(command, streams);
      const broker = await world.broker();
      await world.show(answered(await broker.get<Key>(`/v1/keys/${encodeURIComponent(id)}`)), keyDetailColumns);
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
