import {
  type Digest,
  digest,
  type EventData,
  keyDeposited,
  keyReleased,
  type MigrationId,
  migrationId,
  type VmId,
} from '@carnet/events';
import type { Selectable } from 'kysely';
import { z } from 'zod';
import { type Handover, handover } from '../context.ts';
import { type Held, isSameVersion, type KeyVersion } from '../records/holding.ts';
import type { KeysDb, KeysTables, KeysTx } from '../records/tables.ts';
import { refusal } from '../refusal.ts';
import { ok, type Result } from '../result.ts';
import { type Tenant, tenant } from '../vault/hierarchy.ts';

/** Life of a deposit at the source. `resumed` and `retired` end it; Krel is then destroyed. */
export const depositState = z.enum(['deposited', 'acknowledged', 'released', 'resumed', 'retired']);
export type DepositState = z.infer<typeof depositState>;
const ENDED = ['resumed', 'retired'] satisfies DepositState[];
export const isEnded = ({ state }: Pick<Deposit, 'state'>): boolean => ENDED.some((ended) => ended === state);

/** A deposit as the source keeps it. `data` is what was committed with the event and is sent again after a crash. */
export type Deposit = {
  readonly migration: MigrationId;
  readonly tenant: Tenant;
  readonly handover: Handover;
  /** C of the deposit: equal for equal requests. */
  readonly context: Digest;
  readonly data: EventData<'KeyDeposited'>;
  readonly secrets?: { readonly kekVersion: number; readonly wrapped: string };
  readonly state: DepositState;
  readonly deposit?: Digest;
  readonly acknowledged?: Digest;
  readonly release?: EventData<'KeyReleased'>;
};

type Row = Selectable<KeysTables['keys_deposits']>;

function depositOf(row: Row): Deposit {
  const agreement = handover.parse(JSON.parse(row.handover));
  return {
    migration: agreement.migration,
    tenant: tenant.parse(row.tenant),
    handover: agreement,
    context: digest.parse(row.context),
    data: keyDeposited.parse(JSON.parse(row.data)),
    ...(row.secrets === null ? {} : { secrets: { kekVersion: row.kek_version, wrapped: row.secrets } }),
    state: depositState.parse(row.state),
    ...(row.deposit === null ? {} : { deposit: digest.parse(row.deposit) }),
    ...(row.acknowledged === null ? {} : { acknowledged: digest.parse(row.acknowledged) }),
    ...(row.release === null ? {} : { release: keyReleased.parse(JSON.parse(row.release)) }),
  };
}

/** One attempt to move a VM; its epoch is checked too, so that a late command of an older attempt is refused by number. */
export type Attempt = { readonly migration: MigrationId; readonly epoch: number };

/** `cause`: digest of the event that ends the attempt (withdrawn, relinquished, finalized). Without one: an operator's or a local decision. */
export type Ending = Attempt & { readonly cause?: Digest };

async function select(db: KeysDb, migration: MigrationId, lock: 'lock' | 'read'): Promise<Deposit | undefined> {
  const query = db.selectFrom('keys_deposits').selectAll().where('migration', '=', migration);
  const row = await (lock === 'lock' ? query.forUpdate() : query).executeTakeFirst();
  return row === undefined ? undefined : depositOf(row);
}

export const findDeposit = (db: KeysDb, migration: MigrationId): Promise<Deposit | undefined> => select(db, migration, 'read');
export const lockDeposit = (tx: KeysTx, migration: MigrationId): Promise<Deposit | undefined> => select(tx, migration, 'lock');

/** Of these migrations, those whose deposit is still under way here: what opens a release, or keys that were suspended for one. */
export async function unendedOf(db: KeysDb, migrations: readonly MigrationId[]): Promise<readonly MigrationId[]> {
  if (migrations.length === 0) return [];
  const rows = await db
    .selectFrom('keys_deposits')
    .select('migration')
    .where('migration', 'in', [...migrations])
    .where('state', 'not in', ENDED)
    .execute();
  return rows.map(({ migration }) => migrationId.parse(migration));
}

/** The deposits of a VM up to an epoch that are still under way here, locked. */
export async function lockUnendedBy(tx: KeysTx, vm: VmId, epoch: number): Promise<readonly Deposit[]> {
  const rows = await tx
    .selectFrom('keys_deposits')
    .selectAll()
    .where('epoch', '<=', epoch)
    .where('state', 'not in', ENDED)
    .execute();
  const locked: Deposit[] = [];
  for (const { migration } of rows.map(depositOf).filter(({ handover }) => handover.vm === vm)) {
    const deposit = await lockDeposit(tx, migration);
    if (deposit !== undefined && !isEnded(deposit)) locked.push(deposit);
  }
  return locked;
}

/** The deposit of exactly this attempt. */
export function ofAttempt(deposit: Deposit | undefined, attempt: Attempt): Result<Deposit> {
  if (deposit === undefined) return refusal('DEPOSIT_UNKNOWN', { about: attempt.migration });
  const { epoch } = deposit.handover;
  if (epoch !== attempt.epoch)
    return refusal('DEPOSIT_UNKNOWN', { about: attempt.migration, expected: `epoch ${epoch}`, got: `epoch ${attempt.epoch}` });
  return ok(deposit);
}

/** As {@link heldOfDeposit}, of those that are there. */
export async function thereOfDeposit(
  read: (key: KeyVersion) => Promise<Held | undefined>,
  keys: readonly KeyVersion[],
): Promise<readonly Held[]> {
  const found: Held[] = [];
  for (const key of keys) {
    const held = await read(key);
    if (held !== undefined) found.push(held);
  }
  return found;
}

/** The newest holding of every key; `read` finds it, locked or not. */
export async function heldOfDeposit(
  read: (key: KeyVersion) => Promise<Held | undefined>,
  keys: readonly KeyVersion[],
): Promise<Result<readonly Held[]>> {
  const found = await thereOfDeposit(read, keys);
  const missing = keys.find((key) => !found.some(({ record }) => isSameVersion(key, record)));
  return missing === undefined ? ok(found) : refusal('KEY_UNKNOWN', { about: missing.key });
}

/** False when a deposit of this migration is already there. */
export async function insertDeposit(tx: KeysTx, deposit: Deposit, at: string): Promise<boolean> {
  const result = await tx
    .insertInto('keys_deposits')
    .values({
      migration: deposit.migration,
      epoch: deposit.handover.epoch,
      tenant: deposit.tenant,
      handover: JSON.stringify(deposit.handover),
      context: deposit.context,
      data: JSON.stringify(deposit.data),
      kek_version: deposit.secrets?.kekVersion ?? 0,
      secrets: deposit.secrets?.wrapped ?? null,
      state: deposit.state,
      deposit: null,
      acknowledged: null,
      release: null,
      changed_at: at,
    })
    .onConflict((conflict) => conflict.doNothing())
    .executeTakeFirst();
  return (result.numInsertedOrUpdatedRows ?? 0n) > 0n;
}

export async function updateDeposit(tx: KeysTx, migration: MigrationId, columns: Partial<Row>): Promise<void> {
  await tx.updateTable('keys_deposits').set(columns).where('migration', '=', migration).execute();
}
