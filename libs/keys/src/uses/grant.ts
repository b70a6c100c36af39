import type { MigrationId } from '@carnet/events';
import { vmConsumer } from '../deks.ts';
import type { KeyPorts } from '../ports.ts';
import type { Held } from '../records/holding.ts';
import type { KeysDb } from '../records/tables.ts';
import { refusal } from '../refusal.ts';
import type { Refusal } from '../result.ts';
import type { HostContext } from '../vault/host.ts';
import type { UseReason } from './use.ts';

/**
 * By what right a key is given to a host: who asks, why, and for which migration. There is no second policy language: whoever makes a
 * grant has checked the principal's role; here it must agree with what the records say of key, VM and migration.
 */
export type Grant = { readonly principal: string; readonly reason: UseReason; readonly migration?: MigrationId };

const VM_REASONS: ReadonlySet<UseReason> = new Set(['VM_CREATE', 'VM_START', 'SECRETS_LOST']);
/** What the service does by itself; nobody else may give these reasons. */
const OWN_REASONS: ReadonlySet<UseReason> = new Set(['MIGRATION', 'SECRETS_LOST']);
/** Steps outside migrations carry no epoch. */
const NO_EPOCH = 0;

/** Refuses a use that the records do not bear out. */
export async function ungranted(
  ports: Pick<KeyPorts, 'actor'>,
  db: KeysDb,
  { record }: Held,
  context: HostContext,
  grant: Grant,
): Promise<Refusal | undefined> {
  const refused = refusal('KEY_USE_UNGRANTED', { about: record.key, got: `${grant.reason} by ${grant.principal}` });
  if (OWN_REASONS.has(grant.reason) !== (grant.principal === ports.actor)) return refused;
  if (grant.reason === 'MIGRATION') {
    const { migration } = grant;
    if (migration === undefined || context.epoch === NO_EPOCH) return refused;
    const fits = await isOfMigration(db, record, migration, context);
    return fits ? undefined : refused;
  }
  if (context.epoch !== NO_EPOCH || context.purpose !== 'run') return refused;
  if (VM_REASONS.has(grant.reason)) return (await isConsumer(db, record.key, context.vm)) ? undefined : refused;
  return record.vm === undefined ? undefined : refused;
}

/**
 * Handed over by this very migration, of which a broken glass opens a higher epoch at its source; or the VM's own, not handed over yet (a memory
 * key has no consumer, and serves one migration).
 */
async function isOfMigration(db: KeysDb, record: Held['record'], migration: MigrationId, context: HostContext): Promise<boolean> {
  const { key, version, kind, vm } = record;
  const rows = await db
    .selectFrom('keys_handovers')
    .select(['migration', 'epoch', 'direction'])
    .where('key', '=', key)
    .where('version', '=', version)
    .execute();
  const mayServe = (row: (typeof rows)[number]): boolean =>
    row.epoch === context.epoch || (row.direction === 'out' && row.epoch < context.epoch);
  if (rows.some((row) => row.migration === migration && mayServe(row))) return true;
  return kind === 'memory' ? rows.length === 0 && vm === context.vm : isConsumer(db, key, context.vm);
}

async function isConsumer(db: KeysDb, key: string, vm: HostContext['vm']): Promise<boolean> {
  const row = await db
    .selectFrom('keys_consumers')
    .select('consumer')
    .where('key', '=', key)
    .where('consumer', '=', vmConsumer(vm))
    .executeTakeFirst();
  return row !== undefined;
}
