import type { Timestamp } from '@carnet/events';
import { type TenantKeks, type WrappedKek, wrappedKek } from '../vault/hierarchy.ts';
import type { KeysDb, KeysTx } from './tables.ts';

/** All KEK versions of a tenant, oldest first. */
export async function keksOf(db: KeysDb, tenant: string): Promise<TenantKeks> {
  const rows = await db
    .selectFrom('keys_keks')
    .select(['tenant', 'version', 'wrapped'])
    .where('tenant', '=', tenant)
    .orderBy('version')
    .execute();
  return rows.map((row) => wrappedKek.parse(row));
}

/** False when another replica made this version first: its KEK counts. */
export async function insertKek(db: KeysDb | KeysTx, kek: WrappedKek, at: Timestamp): Promise<boolean> {
  const result = await db
    .insertInto('keys_keks')
    .values({ ...kek, created_at: at })
    .onConflict((conflict) => conflict.doNothing())
    .executeTakeFirst();
  return (result.numInsertedOrUpdatedRows ?? 0n) > 0n;
}
