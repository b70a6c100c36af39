import { Command } from 'commander';
import { count } from '../arguments.ts';
import {
  type Custodian,
  custodianColumns,
  type Drill,
  drillColumns,
  type Escrow,
  type EscrowDetail,
  escrowColumns,
  escrowDetailColumns,
  type Recovery,
  recoveryColumns,
} from '../rows-escrow.ts';
import { answered, type Streams, worldOf } from '../world.ts';
import { listVerb } from './collection.ts';

const HOUR_MS = 3_600_000;
const HOURS_OF_A_DRILL = 168;
const HOURS_OF_A_REQUEST = 24;

/** `key escrow`: M of N custodians bring a key back to the CSP that holds its VM. Nothing secret is an argument. */
export function escrowVerbs(streams: Streams): Command {
  const group = new Command('escrow').description(
    'M of N custodians bring a lost key back, where its VM is: an escrow replaces no release',
  );
  listVerb<Escrow>(group, streams, '/v1/escrows', 'all escrows, current ones first', escrowColumns);
  listCustodians(group, streams);
  showVerb(group, streams);
  createVerb(group, streams);
  drillVerbs(group, streams);
  recoveryVerbs(group, streams);
  custodianVerbs(group, streams);
  return group;
}

function listCustodians(group: Command, streams: Streams): void {
  group
    .command('custodians')
    .description('who has enrolled a sealing key')
    .action(async (_options: unknown, command: Command) => {
      const world = worldOf(command, streams);
      const broker = await world.broker();
      const { items } = answered(await broker.get<{ readonly items: readonly Custodian[] }>('/v1/custodians'));
      await world.list(items, custodianColumns);
    });
}

function showVerb(group: Command, streams: Streams): void {
  group
    .command('show <escrow>')
    .description('one escrow: custodians, drills, recoveries and who has approved')
    .action(async (id: string, _options: unknown, command: Command) => {
      const world = worldOf(command, streams);
      const broker = await world.broker();
      await world.show(answered(await broker.get<EscrowDetail>(`/v1/escrows/${encodeURIComponent(id)}`)), escrowDetailColumns);
    });
}

interface CreateOptions {
  readonly threshold: number;
  readonly custodian: readonly string[];
  readonly reason: string;
}

function createVerb(group: Command, streams: Streams): void {
  group
    .command('create <key>')
    .description('split a key among custodians; a splitting before it ends')
    .requiredOption('--threshold <m>', 'how many must agree, 2 or more', count)
    .requiredOption('--custodian <id...>', 'SPIFFE ids of those who have enrolled')
    .requiredOption('--reason <text>', 'for the records of this CSP')
    .action(async (key: string, { threshold, custodian, reason }: CreateOptions, command: Command) => {
      const world = worldOf(command, streams);
      const broker = await world.broker();
      const body = { key, threshold, custodians: custodian, reason };
      await world.show(answered(await broker.act<EscrowDetail>('POST', '/v1/escrows', body)), escrowDetailColumns);
    });
}

function drillVerbs(group: Command, streams: Streams): void {
  group
    .command('drill <escrow>')
    .description('ask all custodians to prove that their shares open; the key is put together nowhere')
    .requiredOption('--reason <text>', 'why now')
    .option('--hours <n>', 'how long they have', count, HOURS_OF_A_DRILL)
    .action(async (id: string, { reason, hours }: { readonly reason: string; readonly hours: number }, command: Command) => {
      const world = worldOf(command, streams);
      const broker = await world.broker();
      const notAfter = new Date(streams.nowMs() + hours * HOUR_MS).toISOString();
      const path = `/v1/escrows/${encodeURIComponent(id)}/drills`;
      await world.show(answered(await broker.act<Drill>('POST', path, { reason, notAfter })), drillColumns);
    });
  group
    .command('conclude <drill>')
    .description('end a drill: who has not proven possession has failed, and is named in every ledger')
    .action(async (id: string, _options: unknown, command: Command) => {
      const world = worldOf(command, streams);
      const broker = await world.broker();
      const path = `/v1/drills/${encodeURIComponent(id)}/conclude`;
      await world.show(answered(await broker.act<Drill>('POST', path, {})), drillColumns);
    });
}

function recoveryVerbs(group: Command, streams: Streams): void {
  group
    .command('request <escrow>')
    .description('ask for the key back, signed with your certificate; somebody else approves, and somebody else recovers')
    .requiredOption('--reason <text>', 'what custodians read')
    .option('--hours <n>', 'how long the request is good for', count, HOURS_OF_A_REQUEST)
    .action(async (id: string, { reason, hours }: { readonly reason: string; readonly hours: number }, command: Command) => {
      const world = worldOf(command, streams);
      const { request } = await import('./escrow-custodian.ts');
      await world.show(await request(id, { reason, forMs: hours * HOUR_MS }, world), recoveryColumns);
    });
  group
    .command('recover <recovery>')
    .description('put the key together and keep it in the key manager, once M have approved')
    .action(async (id: string, _options: unknown, command: Command) => {
      const world = worldOf(command, streams);
      const broker = await world.broker();
      const path = `/v1/recoveries/${encodeURIComponent(id)}/recover`;
      await world.show(answered(await broker.act<Recovery>('POST', path, {})), recoveryColumns);
    });
}

export interface OwnKey {
  readonly keyFile: string;
  readonly passphraseFile: string;
}

/** What a custodian runs on his own machine. */
function custodianVerbs(group: Command, streams: Streams): void {
  const withOwnKey = (command: Command): Command =>
    command
      .requiredOption('--key-file <file>', 'your sealing key, closed with your passphrase; it leaves your machine never')
      .requiredOption('--passphrase-file <file>', 'of mode 600, 12 bytes or more');
  withOwnKey(group.command('enroll'))
    .description('custodian: make a sealing key, if the file is not there, and have shares sealed to it from now on')
    .action(async (own: OwnKey, command: Command) => {
      const world = worldOf(command, streams);
      const { enroll } = await import('./escrow-custodian.ts');
      await world.show(await enroll(own, world), custodianColumns);
    });
  withOwnKey(group.command('prove <drill>'))
    .description('custodian: prove in a drill that your share opens; it is shown to nobody')
    .action(async (id: string, own: OwnKey, command: Command) => {
      const world = worldOf(command, streams);
      const { prove } = await import('./escrow-custodian.ts');
      await world.show(await prove(id, own, world), drillColumns);
    });
  withOwnKey(group.command('approve <recovery>'))
    .description('custodian: agree to a recovery, and give your share to the key manager that asks')
    .requiredOption('--reason <text>', 'why you agree: speak to who asked, on another channel')
    .action(async (id: string, own: OwnKey & { readonly reason: string }, command: Command) => {
      const world = worldOf(command, streams);
      const { approve } = await import('./escrow-custodian.ts');
      await world.show(await approve(id, own, world), recoveryColumns);
    });
}
