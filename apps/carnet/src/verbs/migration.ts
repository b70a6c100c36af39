import { Command, Option } from 'commander';
import { count, seconds } from '../arguments.ts';
import { detailColumns, type Entry, entryColumns, type Migration, migrationColumns } from '../rows.ts';
import { type DiagnosisRow, diagnosisColumns } from '../rows-diagnosis.ts';
import { type RequestRow, requestColumns } from '../rows-policy.ts';
import { detailOf, endOf, watchMigration } from '../watch.ts';
import { answered, type Streams, worldOf } from '../world.ts';
import { breakGlassVerbs } from './break-glass.ts';
import type { WishOptions } from './wish.ts';

const withWish = (command: Command): Command =>
  command
    .argument('<vm>', 'the VM, as <home domain>/<uuid>')
    .requiredOption('--to <domain>', 'trust domain of the CSP that shall run it')
    .addOption(
      new Option('--mode <mode>', 'cold: the guest is stopped for the whole copy; suspend: its memory travels too')
        .choices(['cold', 'suspend'])
        .default('suspend'),
    )
    .addOption(
      new Option(
        '--rekey <method>',
        'the least that the target must do to the volumes: slot: the old passphrase goes; full-online: encrypted again while the VM runs there; full: encrypted again before it runs, about 10 s per GiB while it stands still',
      ).choices(['none', 'slot', 'full-online', 'full']),
    )
    .option('--id <uuidv7>', "the migration's id; repeating a start with the same id is safe")
    .option('--not-after <time>', 'no offer counts after it (RFC 3339, UTC, milliseconds)')
    .option('--reason <text>', 'why, for the record')
    .option('--consent <file>', 'the owner’s, as `carnet consent sign` printed it');

export function migrationVerbs(streams: Streams): Command {
  const group = new Command('migration').description('move VMs and their keys between CSPs');
  askingVerbs(group, streams);
  lastResortVerbs(group, streams);
  readingVerbs(group, streams);
  waitingVerbs(group, streams);
  return group;
}

function askingVerbs(group: Command, streams: Streams): void {
  withWish(group.command('plan').description('show steps, undo list, policy and bytes without doing anything')).action(
    async (vm: string, options: WishOptions, command: Command) =>
      (await import('./wish.ts')).plan(vm, options, worldOf(command, streams)),
  );
  withWish(group.command('start').description('start a migration'))
    .option('--wait', 'watch until it has ended')
    .action(async (vm: string, options: WishOptions & { readonly wait?: boolean }, command: Command) => {
      const world = worldOf(command, streams);
      const { start, startedColumns } = await import('./wish.ts');
      const started = await start(vm, options, world);
      if (options.wait !== true) return world.show(started, startedColumns);
      streams.err(`migration ${started.id} started\n`);
      return endOf(await watchMigration(world, started.id, {}));
    });
  group
    .command('approve <migration>')
    .description('be the second person for a request that waits: it is taken at once. Who asked cannot approve')
    .action(async (id: string, _options: unknown, command: Command) =>
      (await import('./approve.ts')).approve(id, worldOf(command, streams)),
    );
  group
    .command('cancel <migration>')
    .description('withdraw before the key is released; the VM goes on at its source')
    .option('--reason <text>', 'why, for the record', 'cancelled by an operator')
    .action(async (id: string, { reason }: { readonly reason: string }, command: Command) => {
      const world = worldOf(command, streams);
      const broker = await world.broker();
      const path = `/v1/migrations/${encodeURIComponent(id)}/cancel`;
      await world.show(answered(await broker.post<{ readonly digest: string }>(path, { text: reason })), [
        { name: 'migration', cell: () => id },
        { name: 'event', cell: () => 'MigrationWithdrawn' },
        { name: 'digest', cell: (row) => row.digest },
      ]);
    });
}

function lastResortVerbs(group: Command, streams: Streams): void {
  group.addCommand(breakGlassVerbs(streams));
  group
    .command('discard-copy <migration>')
    .description('at the target, after the source broke the glass: destroy the copy that was stopped here. It cannot be undone')
    .requiredOption('--reason <text>', 'why nobody needs it, for the record')
    .action(async (id: string, { reason }: { readonly reason: string }, command: Command) => {
      const world = worldOf(command, streams);
      const broker = await world.broker();
      const path = `/v1/migrations/${encodeURIComponent(id)}/discard-copy`;
      await world.show(answered(await broker.act<{ readonly digest: string }>('POST', path, { text: reason })), [
        { name: 'migration', cell: () => id },
        { name: 'event', cell: () => 'CopyDiscarded' },
        { name: 'digest', cell: (row) => row.digest },
      ]);
    });
}

interface ListOptions {
  readonly open?: boolean;
  readonly vm?: string;
  readonly limit: number;
}

function readingVerbs(group: Command, streams: Streams): void {
  group
    .command('list')
    .description('migrations, newest first')
    .option('--open', 'only those that have not ended')
    .option('--vm <vm>', 'only of this VM')
    .option('--limit <n>', 'at most so many', count, 100)
    .action(async ({ open, vm, limit }: ListOptions, command: Command) => {
      const world = worldOf(command, streams);
      const broker = await world.broker();
      const query = new URLSearchParams({
        limit: String(limit),
        ...(open === true ? { open: 'true' } : {}),
        ...(vm === undefined ? {} : { vm }),
      });
      await world.list(
        answered(await broker.get<{ readonly items: readonly Migration[] }>(`/v1/migrations?${query}`)).items,
        migrationColumns,
      );
    });
  group
    .command('requests')
    .description('requests that wait for a second person')
    .action(async (_options: unknown, command: Command) => {
      const world = worldOf(command, streams);
      const broker = await world.broker();
      await world.list(
        answered(await broker.get<{ readonly items: readonly RequestRow[] }>('/v1/requests')).items,
        requestColumns,
      );
    });
  group
    .command('show <migration>')
    .description('one migration: both sides, custody of the key, what is owed here')
    .action(async (id: string, _options: unknown, command: Command) => {
      const world = worldOf(command, streams);
      await world.show(await detailOf(world, id), detailColumns);
    });
  group
    .command('doctor <migration>')
    .description('in words: where it stands, who must act, what is in its way, what is safe to do and what is not')
    .action(async (id: string, _options: unknown, command: Command) => {
      const world = worldOf(command, streams);
      const broker = await world.broker();
      const path = `/v1/migrations/${encodeURIComponent(id)}/diagnosis`;
      await world.show(answered(await broker.get<DiagnosisRow>(path)), diagnosisColumns);
    });
  group
    .command('events <migration>')
    .description('every event of both ledgers that concerns it')
    .action(async (id: string, _options: unknown, command: Command) => {
      const world = worldOf(command, streams);
      const broker = await world.broker();
      const path = `/v1/events?migration=${encodeURIComponent(id)}`;
      await world.list(answered(await broker.get<{ readonly items: readonly Entry[] }>(path)).items, entryColumns);
    });
}

function waitingVerbs(group: Command, streams: Streams): void {
  group
    .command('watch <migration>')
    .description('draw both sides live; piped: one JSON line per event. Ctrl-C detaches, never cancels')
    .action(async (id: string, _options: unknown, command: Command) =>
      endOf(await watchMigration(worldOf(command, streams), id, {})),
    );
  group
    .command('wait <migration>')
    .description('wait until it has ended, then show it. Ctrl-C detaches, never cancels')
    .option('--timeout <seconds>', 'give up waiting (exit 4); the migration goes on', seconds)
    .action(async (id: string, { timeout }: { readonly timeout?: number }, command: Command) => {
      const world = worldOf(command, streams);
      const end = await watchMigration(world, id, { quietly: true, ...(timeout === undefined ? {} : { waitMs: timeout }) });
      if (end.kind === 'ended') await world.show(end.migration, detailColumns);
      endOf(end);
    });
}
