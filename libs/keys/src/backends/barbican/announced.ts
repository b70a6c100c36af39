import type { Timestamp } from '@carnet/events';
import { sql } from 'kysely';
import { ORPHAN_MS, SETTLE_BATCH_MAX } from '../../limits.ts';
import type { KeysDb } from '../../records/tables.ts';
import { type Holding, holding } from '../../vault/hierarchy.ts';

/** A holding of which Barbican may have a secret. `mark`: of the state in which it was seen; `undefined`: no such holding. */
export type Announced = { readonly holding: Holding; readonly mark: string | undefined };

/** Before a secret is made: a crash then leaves nothing that nobody knows of. */
export async function announce(db: KeysDb, holdings: readonly Holding[], at: Timestamp): Promise<void> {
  await db
    .insertInto('keys_secrets')
    .values(
      holdings.map(({ key, version, arrival, tenant }) => ({ key, version, arrival, tenant, announced_at: at, settled: null })),
    )
    .onConflict((conflict) => conflict.doNothing())
    .execute();
}

/** Those whose holding changed since they were last settled, and those that never got a holding within an hour. */
export async function unsettled(db: KeysDb, now: Timestamp): Promise<readonly Announced[]> {
  const givenUp = new Date(Date.parse(now) - ORPHAN_MS).toISOString();
  const rows = await db
    .selectFrom('keys_secrets as s')
    .leftJoin('keys_holdings as h', (join) =>
      join.onRef('h.key', '=', 's.key').onRef('h.version', '=', 's.version').onRef('h.arrival', '=', 's.arrival'),
    )
    .select(['s.key', 's.version', 's.arrival', 's.tenant', 'h.state', 'h.changed_at', 'h.secret'])
    .where(({ or, and, eb }) =>
      or([
        and([eb('h.key', 'is', null), eb('s.announced_at', '<', givenUp)]),
        and([
          eb('h.key', 'is not', null),
          sql<boolean>`s.settled is distinct from h.state || ' ' || h.changed_at || ' ' || coalesce(h.secret, '')`,
        ]),
      ]),
    )
    .orderBy('s.announced_at')
    .limit(SETTLE_BATCH_MAX)
    .execute();
  return rows.map(({ state, changed_at, secret, ...of }) => ({
    holding: holding.parse(of),
    mark: state === null || changed_at === null ? undefined : `${state} ${changed_at} ${secret ?? ''}`,
  }));
}

const one = ({ key, version, arrival }: Holding) => ({ key, version, arrival });

export async function markSettled(db: KeysDb, of: Holding, mark: string): Promise<void> {
  await db
    .updateTable('keys_secrets')
    .set({ settled: mark })
    .where((eb) => eb.and(one(of)))
    .execute();
}

export async function forget(db: KeysDb, of: Holding): Promise<void> {
  await db
    .deleteFrom('keys_secrets')
    .where((eb) => eb.and(one(of)))
    .execute();
}
