import { type KeyId, type Timestamp, timestamp } from '@carnet/events';
import { heldOf, type KeyRecord } from './holding.ts';
import type { KeysDb } from './tables.ts';

/** A page of one tenant's keys. `key`: only that one. */
export type TenantPage = {
  readonly tenant: string;
  readonly key?: KeyId;
  readonly offset: number;
  readonly limit: number;
};

/**
 * Keys that a tenant has: each once, in its newest version and holding, oldest first, so that a page stays what it was when keys are
 * added. Destroyed ones are not there any more. `total`: on all pages.
 */
export async function pageOfTenant(
  db: KeysDb,
  { tenant, key, offset, limit }: TenantPage,
): Promise<{ readonly keys: readonly KeyRecord[]; readonly total: number }> {
  let there = db
    .selectFrom('keys_holdings')
    .where('tenant', '=', tenant)
    .where('state', 'not in', ['destroyed', 'destroyed-compromised'])
    .where(({ not, exists, selectFrom }) =>
      not(
        exists(
          selectFrom('keys_holdings as newer')
            .select('newer.key')
            .whereRef('newer.key', '=', 'keys_holdings.key')
            .where((newer) =>
              newer.or([
                newer('newer.version', '>', newer.ref('keys_holdings.version')),
                newer.and([
                  newer('newer.version', '=', newer.ref('keys_holdings.version')),
                  newer('newer.arrival', '>', newer.ref('keys_holdings.arrival')),
                ]),
              ]),
            ),
        ),
      ),
    );
  if (key !== undefined) there = there.where('key', '=', key);
  const { total } = await there.select(({ fn }) => fn.countAll<string>().as('total')).executeTakeFirstOrThrow();
  const rows = await there.selectAll().orderBy('created_at').orderBy('key').offset(offset).limit(limit).execute();
  return { keys: rows.map((row) => heldOf(row).record), total: Number(total) };
}

/** Who needs a key, and since when. */
export async function consumersSince(
  db: KeysDb,
  key: KeyId,
): Promise<readonly { readonly consumer: string; readonly since: Timestamp }[]> {
  const rows = await db.selectFrom('keys_consumers').selectAll().where('key', '=', key).orderBy('consumer').execute();
  return rows.map(({ consumer, added_at }) => ({ consumer, since: timestamp.parse(added_at) }));
}
