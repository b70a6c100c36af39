import type { Timestamp } from '@carnet/events';
import { CODES } from '../codes.ts';
import { KeysError } from '../result.ts';
import { type TenantKeks, type WrappedKek, wrappedKek } from '../vault/hierarchy.ts';
import type { KeysDb, KeysTx } from './tables.ts';

/** All KEK versions of a tenant that are not destroyed, oldest first. */
export async function keksOf(db: KeysDb, tenant: string): Promise<TenantKeks> {
  const rows = await db
    .selectFrom('keys_keks')
    .select(['tenant', 'version', 'wrapped'])
    .where('tenant', '=', tenant)
    .where('wrapped', 'is not', null)
    .where('lost_at', 'is', null)
    .orderBy('version')
    .execute();
  return rows.map((row) => wrappedKek.parse(row));
}

/** False when another replica made this version first: its KEK counts. */
export async function insertKek(db: KeysDb | KeysTx, kek: WrappedKek, at: Timestamp): Promise<boolean> {
  const result = await db
    .insertInto('keys_keks')
    .values({ ...kek, created_at: at, lost_at: null })
    .onConflict((conflict) => conflict.doNothing())
    .executeTakeFirst();
  return (result.numInsertedOrUpdatedRows ?? 0n) > 0n;
}

/**
 * To be called in every transaction that writes a row under a KEK. What was wrapped before this transaction may have been overtaken by
 * a rotation that found nothing left and destroyed the version: the row would never open again. The lock makes that rotation wait, and
 * count anew.
 * @throws KeysError KEK_DESTROYED, to be tried again: the next try wraps under the newest version
 */
export async function holdKek(
  tx: KeysTx,
  { tenant, version }: { readonly tenant: string; readonly version: number },
): Promise<void> {
  const row = await tx
    .selectFrom('keys_keks')
    .select('wrapped')
    .where('tenant', '=', tenant)
    .where('version', '=', version)
    .forShare()
    .executeTakeFirst();
  if (row === undefined || row.wrapped === null)
    throw new KeysError('KEK_DESTROYED', CODES.KEK_DESTROYED.text, { retryable: true });
}

/** Of all that ever were, lost ones included: no number comes twice. 0: none. */
export async function lastKekVersion(db: KeysDb, tenant: string): Promise<number> {
  const last = await db
    .selectFrom('keys_keks')
    .select((q) => q.fn.max('version').as('version'))
    .where('tenant', '=', tenant)
    .executeTakeFirst();
  return last?.version ?? 0;
}
