import { randomBytes } from 'node:crypto';
import { leafSigner } from '@carnet/pki';
import { uuidv7 } from '@carnet/events';
import { createPublisher, type Wish } from '@carnet/publisher';
import { Command, Option } from 'commander';
import { EXIT, VerbError } from '../exit.ts';
import { watchMigration } from '../watch.ts';
import { detailColumns, type Entry, entryColumns, type Migration, type MigrationDetail, migrationColumns } from '../rows.ts';
import { type Streams, valueOf, type World, worldOf } from '../world.ts';

interface WishOptions {
  readonly to: string;
  readonly mode: 'cold' | 'suspend';
  readonly id?: string;
  readonly notAfter?: string;
  readonly reason?: string;
  readonly wait?: boolean;
}

const wishOf = (vm: string, options: WishOptions, nowMs: number): Wish & { readonly id: string } => ({
  id: options.id ?? uuidv7(nowMs, randomBytes(10)),
  vm,
  target: options.to,
  mode: options.mode,
  ...(options.notAfter === undefined ? {} : { notAfter: options.notAfter }),
  ...(options.reason === undefined ? {} : { reason: options.reason }),
});

const withWish = (command: Command): Command =>
  command
    .argument('<vm>', 'the VM, as <home domain>/<uuid>')
    .requiredOption('--to <domain>', 'trust domain of the CSP that shall run it')
    .addOption(new Option('--mode <mode>', 'cold: the guest is stopped for the whole copy; suspend: its memory travels too').choices(['cold', 'suspend']).default('suspend'))
    .option('--id <uuidv7>', "the migration's id; repeating a start with the same id is safe")
    .option('--not-after <time>', 'no offer counts after it (RFC 3339, UTC, milliseconds)')
    .option('--reason <text>', 'why, for the record');

const detail = async (world: World, id: string): Promise<MigrationDetail> => valueOf(await world.broker().get<MigrationDetail>(`/v1/migrations/${encodeURIComponent(id)}`));

/** How an ended migration ends the verb. */
function finish(migration: MigrationDetail): void {
  const because = migration.reasons.map((reason) => `${reason.code}: ${reason.text}`).join('; ');
  switch (migration.outcome) {
    case 'open':
    case 'done':
      return;
    case 'refused':
      throw new VerbError(EXIT.refused, 'MIGRATION_REFUSED', because || 'the peer refused');
    case 'withdrawn':
    case 'rolled-back':
      throw new VerbError(EXIT.rolledBack, 'MIGRATION_ROLLED_BACK', because || 'the migration was rolled back', 'The VM runs at its source again; `carnet migration events` shows every step.');
  }
}

async function start(vm: string, options: WishOptions, world: World): Promise<void> {
  const { certificatePem, keyPem } = world.context();
  const identity = certificatePem === undefined || keyPem === undefined ? undefined : identityOf(certificatePem, keyPem);
  const publisher = createPublisher({ broker: world.broker(), nowMs: world.streams.nowMs, ...(identity === undefined ? {} : { identity }) });
  const wish = wishOf(vm, options, world.streams.nowMs());
  const accepted = valueOf(await publisher.intend(wish));
  if (options.wait === true) {
    world.streams.err(`migration ${accepted.id} started\n`);
    return watchAndFinish(world, accepted.id);
  }
  world.show(accepted, [
    { name: 'migration', cell: (row) => row.id },
    { name: 'digest', cell: (row) => row.digest },
    { name: 'repeated', cell: (row) => String(row.repeated) },
  ]);
}

function identityOf(certificatePem: string, keyPem: string) {
  const [leaf] = certificatePem.matchAll(/-----BEGIN CERTIFICATE-----([^-]+)-----END CERTIFICATE-----/g);
  const certificate = (leaf?.[1] ?? '').replaceAll(/\s/g, '');
  return { signer: leafSigner(keyPem, Buffer.from(certificate, 'base64')), certificate };
}

async function watchAndFinish(world: World, id: string, waitMs?: number): Promise<void> {
  const end = await watchMigration(world, id, waitMs);
  switch (end.kind) {
    case 'ended':
      return finish(end.migration);
    case 'timed-out':
      throw new VerbError(EXIT.waitTimedOut, 'WAIT_TIMED_OUT', `${id} is still ${end.migration.phase}`, `It goes on; come back with: carnet migration wait ${id}`);
    case 'detached':
      world.streams.err(`detached: the migration goes on. Come back with: carnet migration watch ${id}\n`);
  }
}

interface PlanAnswer {
  readonly epoch: number;
  readonly bytes: number;
  readonly stopSeconds?: number;
  readonly policy: { readonly source: { readonly allowed: boolean; readonly reasons: readonly { readonly code: string; readonly text: string }[] }; readonly target: string };
  readonly steps: readonly { readonly side: string; readonly step: string; readonly undo: string }[];
}

async function plan(vm: string, options: WishOptions, world: World): Promise<void> {
  const { id, ...wish } = wishOf(vm, options, world.streams.nowMs());
  const asked = { specversion: '1.0', id, source: 'carnet', type: 'dev.carnet.migration.intent.v1', data: { migration: id, ...wish } };
  const answer = valueOf(await world.broker().post<PlanAnswer>('/v1/plans', asked));
  if (world.format !== 'table') return world.show(answer, []);
  const { policy } = answer;
  const stop = answer.stopSeconds === undefined ? 'unknown until a transfer to this peer was measured' : `~${answer.stopSeconds.toFixed(1)} s`;
  world.streams.err(`epoch ${answer.epoch}, ${answer.bytes} bytes at most, stop ${stop}\n`);
  world.streams.err(`policy here: ${policy.source.allowed ? 'allows' : 'denies'} (${policy.source.reasons.map((reason) => reason.text).join('; ') || 'no reasons'}); the peer's is ${policy.target}\n`);
  world.list(answer.steps, [
    { name: 'side', cell: (row) => row.side },
    { name: 'step', cell: (row) => row.step },
    { name: 'undo', cell: (row) => row.undo },
  ]);
  if (!policy.source.allowed) throw new VerbError(EXIT.refused, 'POLICY_DENIES', "this CSP's policy denies the move");
}

const seconds = (text: string): number => {
  const value = Number(text);
  if (!(value > 0)) throw new VerbError(EXIT.usage, 'PARAMETER_INVALID', `expected seconds above 0, got ${text}`);
  return value * 1_000;
};

export function migrationVerbs(streams: Streams): Command {
  const group = new Command('migration').description('move VMs and their keys between CSPs');
  withWish(group.command('plan').description('show steps, undo list, policy and bytes without doing anything')).action((vm: string, options: WishOptions, command: Command) =>
    plan(vm, options, worldOf(command, streams)),
  );
  withWish(group.command('start').description('start a migration'))
    .option('--wait', 'watch until it has ended')
    .action((vm: string, options: WishOptions, command: Command) => start(vm, options, worldOf(command, streams)));
  group
    .command('list')
    .description('migrations, newest first')
    .option('--open', 'only those that have not ended')
    .option('--vm <vm>', 'only of this VM')
    .option('--limit <n>', 'at most so many', '100')
    .action(async (options: { readonly open?: boolean; readonly vm?: string; readonly limit: string }, command: Command) => {
      const world = worldOf(command, streams);
      const query = new URLSearchParams({ limit: options.limit, ...(options.open === true ? { open: 'true' } : {}), ...(options.vm === undefined ? {} : { vm: options.vm }) });
      world.list(valueOf(await world.broker().get<{ readonly items: readonly Migration[] }>(`/v1/migrations?${query}`)).items, migrationColumns);
    });
  group
    .command('show <migration>')
    .description('one migration: both sides, custody of the key, what is owed here')
    .action(async (id: string, _options: unknown, command: Command) => {
      const world = worldOf(command, streams);
      world.show(await detail(world, id), detailColumns);
    });
  group
    .command('watch <migration>')
    .description('draw both sides live; piped: one JSON line per event. Ctrl-C detaches, never cancels')
    .action((id: string, _options: unknown, command: Command) => watchAndFinish(worldOf(command, streams), id));
  group
    .command('wait <migration>')
    .description('wait until it has ended')
    .option('--timeout <seconds>', 'give up waiting (exit 4); the migration goes on')
    .action((id: string, options: { readonly timeout?: string }, command: Command) =>
      watchAndFinish(worldOf(command, streams), id, options.timeout === undefined ? undefined : seconds(options.timeout)),
    );
  group
    .command('cancel <migration>')
    .description('withdraw before the key is released; the VM goes on at its source')
    .option('--reason <text>', 'why, for the record', 'cancelled by an operator')
    .action(async (id: string, options: { readonly reason: string }, command: Command) => {
      const world = worldOf(command, streams);
      const answer = valueOf(await world.broker().post<{ readonly digest: string }>(`/v1/migrations/${encodeURIComponent(id)}/cancel`, { text: options.reason }));
      world.show(answer, [{ name: 'digest', cell: (row) => row.digest }]);
    });
  group
    .command('events <migration>')
    .description('every event of both ledgers that concerns it')
    .action(async (id: string, _options: unknown, command: Command) => {
      const world = worldOf(command, streams);
      world.list(valueOf(await world.broker().get<{ readonly items: readonly Entry[] }>(`/v1/events?migration=${encodeURIComponent(id)}`)).items, entryColumns);
    });
  return group;
}
