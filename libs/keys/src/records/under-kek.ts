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

/** 1 when the row still held what was read, else 0: another replica moved it, or the key was destroyed meanwhile. */
export const casDek = async (db: KeysDb, dek: WrappedDek, old: string): Promise<number> =>
  rows(
    await db
      .updateTable('keys_holdings')
      .set({ kek_version: dek.kekVersion, wrapped: dek.wrapped })
      .where('key', '=', dek.key)
      .where('version', '=', dek.version)
      .where('arrival', '=', dek.arrival)
      .where('wrapped', '=', old)
      .executeTakeFirst(),
  );

/** As {@link casDek}. */
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

/** DEKs of which we hold a check value only. */
export async function countOutside(db: KeysDb, tenant: Tenant): Promise<number> {
  const row = await db
    .selectFrom('keys_holdings')
    .select((e) => e.fn.countAll().as('outside'))
    .where('tenant', '=', tenant)
    .where('wrapped', 'is not', null)
    .where('secret', 'is not', null)
    .executeTakeFirstOrThrow();
  return Number(row.outside);
}
