import {
  type Digest,
  depositAcknowledged,
  digest,
  type EventData,
  keyDeposited,
  type MigrationId,
  migrationId,
} from '@carnet/events';
import type { Selectable } from 'kysely';
import { z } from 'zod';
import { digestOf, fromBase64 } from '../bytes.ts';
import { type Handover, handover } from '../context.ts';
import { DESTROYED } from '../records/states.ts';
import type { KeysDb, KeysTables, KeysTx } from '../records/tables.ts';
import { refusal } from '../refusal.ts';
import { ok, type Result } from '../result.ts';
import { type Tenant, tenant } from '../vault/hierarchy.ts';
import { HSM, kemOf } from '../vault/hpke.ts';
import type { Attempt } from './deposits.ts';

/** Life of an import at the target. `imported` and `discarded` end it; the private key is then destroyed. */
export const importState = z.enum(['offered', 'acknowledged', 'opened', 'imported', 'discarded']);
export type ImportState = z.infer<typeof importState>;

/** A deposit as the target keeps it. */
export type Received = {
  readonly handover: Handover;
  readonly deposit: Digest;
  readonly data: EventData<'KeyDeposited'>;
  readonly acknowledgement: EventData<'DepositAcknowledged'>;
};

export type Import = {
  readonly migration: MigrationId;
  readonly epoch: number;
  readonly tenant: Tenant;
  readonly publicKey: string;
  readonly privateKey?: { readonly kekVersion: number; readonly wrapped: string };
  readonly state: ImportState;
  readonly received?: Received;
  /** Digest of the release that was opened. */
  readonly release?: Digest;
};

type Row = Selectable<KeysTables['keys_imports']>;

function receivedOf(row: Row): Received | undefined {
  if (row.handover === null || row.deposit === null || row.deposit_data === null || row.acknowledgement === null)
    return undefined;
  return {
    handover: handover.parse(JSON.parse(row.handover)),
    deposit: digest.parse(row.deposit),
    data: keyDeposited.parse(JSON.parse(row.deposit_data)),
    acknowledgement: depositAcknowledged.parse(JSON.parse(row.acknowledgement)),
  };
}

function importOf(row: Row): Import {
  const received = receivedOf(row);
  return {
    migration: migrationId.parse(row.migration),
    epoch: row.epoch,
    tenant: tenant.parse(row.tenant),
    publicKey: row.public_key,
    ...(row.private_key === null ? {} : { privateKey: { kekVersion: row.kek_version, wrapped: row.private_key } }),
    state: importState.parse(row.state),
    ...(received === undefined ? {} : { received }),
    ...(row.release === null ? {} : { release: digest.parse(row.release) }),
  };
}

async function select(db: KeysDb, migration: MigrationId, lock: 'lock' | 'read'): Promise<Import | undefined> {
  const query = db.selectFrom('keys_imports').selectAll().where('migration', '=', migration);
  const row = await (lock === 'lock' ? query.forUpdate() : query).executeTakeFirst();
  return row === undefined ? undefined : importOf(row);
}

export const findImport = (db: KeysDb, migration: MigrationId): Promise<Import | undefined> => select(db, migration, 'read');
export const lockImport = (tx: KeysTx, migration: MigrationId): Promise<Import | undefined> => select(tx, migration, 'lock');

/** Of these migrations, those of which something is left here: their key pair, or the record of what came. */
export async function undiscardedOf(db: KeysDb, migrations: readonly MigrationId[]): Promise<readonly MigrationId[]> {
  if (migrations.length === 0) return [];
  const rows = await db
    .selectFrom('keys_imports')
    .select('migration')
    .where('migration', 'in', [...migrations])
    .where('state', '!=', 'discarded' satisfies ImportState)
    .execute();
  return rows.map(({ migration }) => migrationId.parse(migration));
}

/** Of these migrations, those of which a key is still held as they brought it, or the private key that opens their release. */
export async function stillHoldingOf(db: KeysDb, migrations: readonly MigrationId[]): Promise<readonly MigrationId[]> {
  if (migrations.length === 0) return [];
  const rows = await db
    .selectFrom('keys_imports as i')
    .select('i.migration')
    .where('i.migration', 'in', [...migrations])
    .where(({ or, eb, exists, selectFrom }) =>
      or([
        eb('i.private_key', 'is not', null),
        exists(
          selectFrom('keys_handovers as h')
            .innerJoin('keys_holdings as k', (join) =>
              join.onRef('k.key', '=', 'h.key').onRef('k.version', '=', 'h.version').onRef('k.arrival', '=', 'h.epoch'),
            )
            .select('k.key')
            .whereRef('h.migration', '=', 'i.migration')
            .where('h.direction', '=', 'in')
            .where('k.state', 'not in', DESTROYED),
        ),
      ]),
    )
    .execute();
  return rows.map(({ migration }) => migrationId.parse(migration));
}

/** The import of exactly this attempt. */
export function importOfAttempt(found: Import | undefined, attempt: Attempt): Result<Import> {
  if (found === undefined) return refusal('MIGRATION_KEY_UNKNOWN', { about: attempt.migration });
  if (found.epoch !== attempt.epoch)
    return refusal('MIGRATION_KEY_UNKNOWN', {
      about: attempt.migration,
      expected: `epoch ${found.epoch}`,
      got: `epoch ${attempt.epoch}`,
    });
  return ok(found);
}

/** False when this migration already has a key pair. */
export async function insertImport(
  tx: KeysTx,
  made: Import & { readonly privateKey: NonNullable<Import['privateKey']> },
  at: string,
): Promise<boolean> {
  const publicKey = fromBase64(made.publicKey);
  const result = await tx
    .insertInto('keys_imports')
    .values({
      migration: made.migration,
      epoch: made.epoch,
      tenant: made.tenant,
      public_key: made.publicKey,
      kek_version: made.privateKey.kekVersion,
      private_key: made.privateKey.wrapped,
      token_key: kemOf(publicKey) === HSM ? digestOf(publicKey) : null,
      state: made.state,
      handover: null,
      deposit: null,
      deposit_data: null,
      acknowledgement: null,
      release: null,
      changed_at: at,
    })
    .onConflict((conflict) => conflict.doNothing())
    .executeTakeFirst();
  return (result.numInsertedOrUpdatedRows ?? 0n) > 0n;
}

export async function updateImport(tx: KeysTx, migration: MigrationId, columns: Partial<Row>): Promise<void> {
  await tx.updateTable('keys_imports').set(columns).where('migration', '=', migration).execute();
}

/** As if the import had never been lost: over, its private key destroyed, and found by whoever discards what it brought. */
export async function reinstateImport(
  tx: KeysTx,
  {
    received,
    tenant,
    release,
    at,
  }: { readonly received: Received; readonly tenant: Tenant; readonly release: Digest; readonly at: string },
): Promise<void> {
  const { migration, epoch, publicKey } = received.handover;
  const over = {
    private_key: null,
    state: 'imported' satisfies ImportState,
    handover: JSON.stringify(received.handover),
    deposit: received.deposit,
    deposit_data: JSON.stringify(received.data),
    acknowledgement: JSON.stringify(received.acknowledgement),
    release,
    changed_at: at,
  };
  const bytes = fromBase64(publicKey);
  await tx
    .insertInto('keys_imports')
    .values({
      migration,
      epoch,
      tenant,
      public_key: publicKey,
      kek_version: NO_KEK,
      token_key: kemOf(bytes) === HSM ? digestOf(bytes) : null,
      ...over,
    })
    .onConflict((conflict) => conflict.column('migration').doUpdateSet(over))
    .execute();
}

/** Of a row without a private key: nothing is wrapped. */
const NO_KEK = 0;
