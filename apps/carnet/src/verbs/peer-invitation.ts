import { readFileSync } from 'node:fs';
import type { Command } from 'commander';
import { count } from '../arguments.ts';
import { EXIT, VerbError } from '../exit.ts';
import type { Column } from '../output.ts';
import { type Peer, peerColumns } from '../rows.ts';
import { answered, type Streams, worldOf } from '../world.ts';
import { listVerb } from './collection.ts';

interface Invitation {
  readonly id: string;
  readonly domain: string;
  readonly state: string;
  readonly createdBy: string;
  readonly createdAt: string;
  readonly expiresAt: string;
  readonly dataPaths: readonly string[];
}
type NewInvitation = Invitation & { readonly invitation: string };

interface Peering {
  readonly domain: string;
  readonly state: string;
  readonly code: string;
  readonly issuer: string;
  readonly ownIssuer: string;
  readonly eventKey: string;
  readonly side: string;
  readonly dataPaths: readonly string[];
  readonly startedBy: string;
  readonly startedAt: string;
  readonly confirmedBy?: string;
  readonly confirmedAt?: string;
  readonly confirmedThereAt?: string;
}
type Shown = Peer & { readonly peering?: Peering };

const invitationColumns: readonly Column<Invitation>[] = [
  { name: 'id', cell: (row) => row.id },
  { name: 'for', cell: (row) => row.domain },
  { name: 'state', cell: (row) => row.state },
  { name: 'expires', cell: (row) => row.expiresAt },
  { name: 'made by', cell: (row) => row.createdBy },
  { name: 'data paths', cell: (row) => row.dataPaths.join(', ') },
];
const newColumns: readonly Column<NewInvitation>[] = [
  ...invitationColumns.slice(0, 4),
  { name: 'invitation', cell: (row) => row.invitation },
];
/** What people compare stands where they look first. */
const peeringColumns: readonly Column<Peering>[] = [
  { name: 'peer', cell: (row) => row.domain },
  { name: 'state', cell: (row) => row.state },
  { name: 'code', cell: (row) => row.code },
  { name: 'its authority', cell: (row) => row.issuer },
  { name: 'our authority', cell: (row) => row.ownIssuer },
  { name: 'its event key', cell: (row) => row.eventKey },
  { name: 'side', cell: (row) => row.side },
  { name: 'data paths', cell: (row) => row.dataPaths.join(', ') },
  { name: 'started', cell: (row) => `${row.startedAt} by ${row.startedBy}` },
  {
    name: 'confirmed here',
    cell: (row) => (row.confirmedAt === undefined ? undefined : `${row.confirmedAt} by ${row.confirmedBy}`),
  },
  { name: 'confirmed there', cell: (row) => row.confirmedThereAt },
];
const shownColumns: readonly Column<Shown>[] = [
  ...peerColumns,
  ...peeringColumns.slice(1).map(
    ({ name, cell }): Column<Shown> => ({
      name: name === 'state' ? 'confirmation' : name,
      cell: ({ peering }) => (peering === undefined ? undefined : cell(peering)),
    }),
  ),
];

const TEXT = `One CSP invites, the other joins; then people at both compare the code by voice and confirm. Nothing is trusted before both did:

  at csp-a.example   carnet peer invite csp-b.example       # hand the line over as you would a password
  at csp-b.example   carnet peer join                       # reads the line from stdin; the brokers prove to each other that they know it
  at both            carnet peer show <the other>           # code and fingerprints: read the code to each other on the telephone
  at both            carnet peer confirm <the other> --code "<what the other side reads out>"
  bus’s operator     adds the pair to his file, if it is not there yet: \`carnet bus streams\`, then \`carnet bus apply\`

Both need certificates under one federation root: an invitation brings no root. It pins the authority that issues for each.`;

interface PathOptions {
  readonly dataPaths?: string;
}
const pathsOf = ({ dataPaths }: PathOptions): readonly string[] =>
  dataPaths === undefined ? [] : dataPaths.split(',').map((one) => one.trim());
const PATHS = 'networks (CIDR) in which its agents may serve images, e.g. 192.0.2.0/24 (default: all public addresses)';

/** How peers come and go, under `carnet peer`. */
export function invitationVerbs(group: Command, streams: Streams): void {
  const pathOf = (peer: string, more = ''): string => `/v1/peerings/${encodeURIComponent(peer)}${more}`;
  group
    .command('show <peer>')
    .description('one peer: its ledgers, and how it came to be trusted')
    .action(async (name: string, _options: unknown, command: Command) => {
      const world = worldOf(command, streams);
      const broker = await world.broker();
      const { items: peers } = answered(await broker.get<{ readonly items: readonly Peer[] }>('/v1/peers'));
      const { items: peerings } = answered(await broker.get<{ readonly items: readonly Peering[] }>('/v1/peerings'));
      const peer = peers.find(({ domain }) => domain === name);
      if (peer === undefined)
        throw new VerbError(EXIT.refused, 'PEER_UNKNOWN', `no peer ${name} here`, '`carnet peer list` shows all.');
      const peering = peerings.find(({ domain }) => domain === name);
      const shown: Shown = peering === undefined ? peer : { ...peer, peering };
      await world.show(shown, peering === undefined ? peerColumns : shownColumns);
    });
  inviting(group, streams);
  group
    .command('join')
    .description('take up an invitation, which is read from stdin (administrator)')
    .option('--file <file>', 'read it from a file instead')
    .option('--data-paths <networks>', PATHS)
    .addHelpText('after', `\n${TEXT}`)
    .action(async (options: PathOptions & { readonly file?: string }, command: Command) => {
      const world = worldOf(command, streams);
      const broker = await world.broker();
      const invitation =
        options.file === undefined || options.file === '-' ? await streams.input('Invitation: ') : textOf(options.file);
      const joined = await broker.act<Peering>('POST', '/v1/peerings', { invitation, dataPaths: pathsOf(options) });
      const row = answered(joined);
      await world.show(row, peeringColumns);
      streams.err(`carnet: compare the code with ${row.domain} by voice, then \`carnet peer confirm\` at both sides\n`);
    });
  group
    .command('confirm <peer>')
    .description('confirm a peer by the code that its people read out to you (administrator)')
    .requiredOption('--code <code>', 'thirty digits; blanks and dashes mean nothing')
    .addHelpText('after', `\n${TEXT}`)
    .action(async (peer: string, { code }: { readonly code: string }, command: Command) => {
      const world = worldOf(command, streams);
      const broker = await world.broker();
      await world.show(answered(await broker.post<Peering>(pathOf(peer, '/confirm'), { code })), peeringColumns);
    });
  group
    .command('remove <peer>')
    .description('end what an invitation began, confirmed or not; its ledgers stay (administrator)')
    .option('--unheard', 'although it has not acknowledged all that was said to it: it will never be back')
    .action(async (peer: string, { unheard }: { readonly unheard?: true }, command: Command) => {
      const world = worldOf(command, streams);
      const broker = await world.broker();
      const path = unheard === true ? `${pathOf(peer)}?unheard=true` : pathOf(peer);
      const removed = answered(await broker.act<{ readonly domain: string }>('DELETE', path));
      await world.show(removed, [{ name: 'removed', cell: (row) => row.domain }]);
    });
}

function inviting(group: Command, streams: Streams): void {
  group
    .command('invite <domain>')
    .description('invite a CSP: one line with a secret for one use, shown once (administrator)')
    .option('--hours <n>', 'hours until it ends, at most 168', count, 24)
    .option('--data-paths <networks>', PATHS)
    .addHelpText('after', `\n${TEXT}`)
    .action(async (domain: string, options: PathOptions & { readonly hours: number }, command: Command) => {
      const world = worldOf(command, streams);
      const broker = await world.broker();
      const wish = { domain, hours: options.hours, dataPaths: pathsOf(options) };
      await world.show(answered(await broker.act<NewInvitation>('POST', '/v1/invitations', wish)), newColumns);
      streams.err(`carnet: give the invitation to ${domain} as you would a password: it is good once, and shown once\n`);
    });
  listVerb<Invitation>(
    group,
    streams,
    '/v1/invitations',
    'invitations that were made here; never their secrets',
    invitationColumns,
    'invitations',
  );
  group
    .command('uninvite <id>')
    .description('withdraw an invitation that was not used (administrator)')
    .action(async (id: string, _options: unknown, command: Command) => {
      const world = worldOf(command, streams);
      const broker = await world.broker();
      await world.show(
        answered(await broker.act<Invitation>('DELETE', `/v1/invitations/${encodeURIComponent(id)}`)),
        invitationColumns,
      );
    });
}

function textOf(file: string): string {
  try {
    return readFileSync(file, 'utf8');
  } catch (cause) {
    throw new VerbError(EXIT.usage, 'ARGUMENT_INVALID', cause instanceof Error ? cause.message : String(cause));
  }
}
