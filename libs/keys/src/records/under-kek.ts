import { keyId, migrationId } from '@carnet/events';
import { sql } from 'kysely';
import { z } from 'zod';
import { REWRAP_BATCH_MAX, REWRAP_SECRETS_MAX } from '../limits.ts';
import { type Tenant, type WrappedDek, wrappedDek } from '../vault/hierarchy.ts';
import { type KeptSecret, keptSecret } from '../vault/rewrap.ts';
import type { KeysDb } from './tables.ts';

/** Everything that a tenant's KEK wraps: DEKs, secrets of open deposits, private keys of open imports. Nothing else may be under one. */

/** DEKs under a version older than this, at most a batch. */
export async function deksBelow(db: KeysDb, tenant: Tenant, version: number): Promise<readonly WrappedDek[]> {
  const rows = await db
    .selectFrom('keys_holdings')
    .select(['key', 'version', 'arrival', 'kek_version', 'wrapped', 'secret'])
    .where('tenant', '=', tenant)
    .where('kek_version', '<', version)
    .where('wrapped', 'is not', null)
    .limit(REWRAP_BATCH_MAX)
    .execute();
  return rows.map((row) =>
    wrappedDek.parse({
      tenant,
      key: keyId.parse(row.key),
      version: row.version,
      arrival: row.arrival,
      kekVersion: row.kek_version,
      wrapped: row.wrapped,
      ...(row.secret === null ? {} : { secret: row.secret }),
    }),
  );
}

/** Secrets of hand-overs under a version older than this, at most a batch. */
export async function secretsBelow(db: KeysDb, tenant: Tenant, version: number): Promise<readonly KeptSecret[]> {
  const deposits = await db
    .selectFrom('keys_deposits')
    .select(['migration', 'context', 'kek_version', 'secrets'])
    .where('tenant', '=', tenant)
    .where('kek_version', '<', version)
    .where('secrets', 'is not', null)
    .limit(REWRAP_SECRETS_MAX)
    .execute();
  const imports = await db
    .selectFrom('keys_imports')
    .select(['migration', 'epoch', 'public_key', 'kek_version', 'private_key'])
    .where('tenant', '=', tenant)
    .where('kek_version', '<', version)
    .where('private_key', 'is not', null)
    .limit(REWRAP_SECRETS_MAX - deposits.length)
    .execute();
  return z.array(keptSecret).parse([
    ...deposits.map((row) => ({
      kind: 'deposit',
      migration: migrationId.parse(row.migration),
      context: row.context,
      kekVersion: row.kek_version,
      wrapped: row.secrets,
    })),
    ...imports.map((row) => ({
      kind: 'migration-key',
      migration: migrationId.parse(row.migration),
      epoch: row.epoch,
      publicKey: row.public_key,
      kekVersion: row.kek_version,
      wrapped: row.private_key,
    })),
  ]);
}

const rows = (result: { readonly numUpdatedRows: bigint }): number => Number(result.numUpdatedRows);

/** A row as it was read, and as it shall be. */
export type Moved<T> = { readonly from: T; readonly to: T };

/**
 * How many moved: a row that is no more what was read stays, since another replica moved it or the key was destroyed meanwhile. So does
 * one that somebody has locked: whoever waits for several keys never waits for a batch that waits for him. Both are seen again by the count.
 */
export async function casDeks(db: KeysDb, moved: readonly Moved<WrappedDek>[]): Promise<number> {
  const of = <T>(pick: (one: Moved<WrappedDek>) => T): readonly T[] => moved.map(pick);
  const result = await sql`
    update keys_holdings as h set kek_version = n.kek_version, wrapped = n.wrapped
    from (
      select r.key, r.version, r.arrival, m.kek_version, m.wrapped
      from unnest(
        ${of(({ to }) => to.key)}::text[], ${of(({ to }) => to.version)}::int[], ${of(({ to }) => to.arrival)}::int[],
        ${of(({ to }) => to.kekVersion)}::int[], ${of(({ to }) => to.wrapped)}::text[], ${of(({ from }) => from.wrapped)}::text[]
      ) as m (key, version, arrival, kek_version, wrapped, old)
      join keys_holdings as r on r.key = m.key and r.version = m.version and r.arrival = m.arrival and r.wrapped = m.old
      for update of r skip locked
    ) as n
    where h.key = n.key and h.version = n.version and h.arrival = n.arrival`.execute(db);
  return Number(result.numAffectedRows ?? 0n);
}

/** 1 when the row still held what was read, else 0. */
export async function casSecret(db: KeysDb, { kind, migration, kekVersion, wrapped }: KeptSecret, old: string): Promise<number> {
  return kind === 'deposit'
    ? rows(
        await db
          .updateTable('keys_deposits')
          .set({ kek_version: kekVersion, secrets: wrapped })
          .where('migration', '=', migration)
          .where('secrets', '=', old)
          .executeTakeFirst(),
      )
    : rows(
        await db
          .updateTable('keys_imports')
          .set({ kek_version: kekVersion, private_key: wrapped })
          .where('migration', '=', migration)
          .where('private_key', '=', old)
          .executeTakeFirst(),
      );
}

/** What is still under a version older than this. */
export async function countBelow(db: KeysDb, tenant: Tenant, version: number): Promise<number> {
  const { rows: counted } = await sql<{ readonly left: string }>`
    select (select count(*) from keys_holdings where tenant = ${tenant} and kek_version < ${version} and wrapped is not null)
         + (select count(*) from keys_deposits where tenant = ${tenant} and kek_version < ${version} and secrets is not null)
         + (select count(*) from keys_imports where tenant = ${tenant} and kek_version < ${version} and private_key is not null)
      as left`.execute(db);
  return Number(counted[0]?.left ?? Number.NaN);
}

/** DEKs of which we hold a check value only: none but announced ones. */
export async function countOutside(db: KeysDb, tenant: Tenant): Promise<number> {
  const row = await db
    .selectFrom('keys_secrets as s')
    .innerJoin('keys_holdings as h', (join) =>
      join.onRef('h.key', '=', 's.key').onRef('h.version', '=', 's.version').onRef('h.arrival', '=', 's.arrival'),
    )
    .select((e) => e.fn.countAll().as('outside'))
    .where('s.tenant', '=', tenant)
    .where('h.wrapped', 'is not', null)
    .where('h.secret', 'is not', null)
    .executeTakeFirstOrThrow();
  return Number(row.outside);
}
