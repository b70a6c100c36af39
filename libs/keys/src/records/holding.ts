import {
  artifactId,
  artifactKind,
  byteCount,
  depositedKey,
  digest,
  escrowId,
  type KeyId,
  keyId,
  migrationId,
  recoveryId,
  timestamp,
  trustDomain,
  type VmId,
  vmId,
} from '@carnet/events';
import type { Selectable } from 'kysely';
import { z } from 'zod';
import { secretId, tenant, type WrappedDek } from '../vault/hierarchy.ts';
import { DESTROYED, keyState } from './states.ts';
import type { KeysDb, KeysTables, KeysTx } from './tables.ts';

/** Where a migrated key came from: the events that handed it over. */
export const provenance = z
  .strictObject({
    migration: migrationId,
    epoch: z.int().min(1),
    source: trustDomain,
    intent: digest,
    offer: digest,
    agreed: digest,
    deposit: digest,
    release: digest,
  })
  .readonly();
export type Provenance = z.infer<typeof provenance>;

/** The holding whose place a key took, on the volume and in every VM that used it. */
export const replaces = z.strictObject({ key: keyId, version: z.int().min(1), arrival: z.int().min(0) }).readonly();
export type Replaces = z.infer<typeof replaces>;

/** The escrow that brought a key back, and the digest of the statement that says so. Where it came from first stands in `provenance`. */
export const recoveredBy = z
  .strictObject({ escrow: escrowId, recovery: recoveryId, statement: digest, at: timestamp })
  .readonly();

/** A key record for people and programs: everything but the key. */
export const keyRecord = z
  .strictObject({
    key: keyId,
    version: z.int().min(1),
    arrival: z.int().min(0),
    tenant,
    vm: vmId.optional(),
    artifact: artifactId,
    kind: artifactKind,
    derivation: depositedKey.unwrap().shape.derivation,
    capacityBytes: byteCount,
    headerDigest: digest.optional(),
    state: keyState,
    /** `imported`: brought by its owner. `migrated`: handed over by a peer. `recovered`: an escrow brought it back. */
    origin: z.enum(['generated', 'imported', 'migrated', 'recovered']),
    provenance: provenance.optional(),
    recovered: recoveredBy.optional(),
    imageRoot: digest.optional(),
    replaces: replaces.optional(),
    kekVersion: z.int().min(1).optional(),
    createdAt: timestamp,
    changedAt: timestamp,
  })
  .readonly();
export type KeyRecord = z.infer<typeof keyRecord>;

/** A record with what only this lib uses: the wrapped key and the marks of a memory key. */
export type Held = {
  readonly record: KeyRecord;
  readonly wrapped?: WrappedDek;
  readonly usedBy?: string;
  readonly sealedBy?: string;
};

type Row = Selectable<KeysTables['keys_holdings']>;

/** A row as it is meant. */
export function heldOf(row: Row): Held {
  const record = keyRecord.parse({
    key: row.key,
    version: row.version,
    arrival: row.arrival,
    tenant: row.tenant,
    ...(row.vm === null ? {} : { vm: row.vm }),
    artifact: row.artifact,
    kind: row.kind,
    derivation: row.derivation,
    capacityBytes: Number(row.capacity_bytes),
    ...(row.header_digest === null ? {} : { headerDigest: row.header_digest }),
    state: row.state,
    origin: row.origin,
    ...(row.provenance === null ? {} : { provenance: JSON.parse(row.provenance) }),
    ...(row.image_root === null ? {} : { imageRoot: row.image_root }),
    ...(row.recovered === null ? {} : { recovered: JSON.parse(row.recovered) }),
    ...(row.replaces === null ? {} : { replaces: JSON.parse(row.replaces) }),
    ...(row.kek_version === null ? {} : { kekVersion: row.kek_version }),
    createdAt: row.created_at,
    changedAt: row.changed_at,
  });
  return {
    record,
    ...(row.wrapped === null || row.kek_version === null
      ? {}
      : { wrapped: wrappedOf(record, row.kek_version, row.wrapped, row.secret) }),
    ...(row.used_by === null ? {} : { usedBy: row.used_by }),
    ...(row.sealed_by === null ? {} : { sealedBy: row.sealed_by }),
  };
}

const wrappedOf = ({ tenant, key, version, arrival }: KeyRecord, kekVersion: number, wrapped: string, secret: string | null) => ({
  tenant,
  key,
  version,
  arrival,
  kekVersion,
  wrapped,
  ...(secret === null ? {} : { secret: secretId.parse(secret) }),
});

export type KeyVersion = { readonly key: KeyId; readonly version: number };
export const isSameVersion = (a: KeyVersion, b: KeyVersion): boolean => a.key === b.key && a.version === b.version;

const newestOf = (db: KeysDb, { key, version }: KeyVersion) =>
  db
    .selectFrom('keys_holdings')
    .selectAll()
    .where('key', '=', key)
    .where('version', '=', version)
    .orderBy('arrival', 'desc')
    .limit(1);

/** The newest holding of a key: the one that counts now. */
export async function findHeld(db: KeysDb, key: KeyVersion): Promise<Held | undefined> {
  const row = await newestOf(db, key).executeTakeFirst();
  return row === undefined ? undefined : heldOf(row);
}

/** Of these keys, those of which there is a holding that is not destroyed. */
export async function undestroyedOf(db: KeysDb, keys: readonly KeyId[]): Promise<readonly KeyId[]> {
  if (keys.length === 0) return [];
  const rows = await db
    .selectFrom('keys_holdings')
    .select('key')
    .distinct()
    .where('key', 'in', [...keys])
    .where('state', 'not in', DESTROYED)
    .execute();
  return rows.map(({ key }) => keyId.parse(key));
}

/** As {@link findHeld}, locked until the transaction ends. */
export async function lockHeld(tx: KeysTx, key: KeyVersion): Promise<Held | undefined> {
  const row = await newestOf(tx, key).forUpdate().executeTakeFirst();
  return row === undefined ? undefined : heldOf(row);
}

/**
 * Every holding of a VM's keys from before an epoch that is not destroyed, locked: of a key that came back then, or since, only those before; and nothing
 * that took the place of what came then, or since.
 */
export async function lockFormer(tx: KeysTx, vm: VmId, epoch: number): Promise<readonly Held[]> {
  const rows = await tx
    .selectFrom('keys_holdings')
    .selectAll()
    .where('vm', '=', vm)
    .where('arrival', '<', epoch)
    .where('state', 'not in', DESTROYED)
    .orderBy('key')
    .orderBy('version')
    .orderBy('arrival')
    .forUpdate()
    .execute();
  return rows.map(heldOf).filter(({ record }) => record.replaces === undefined || record.replaces.arrival < epoch);
}

const ofArrival = (db: KeysDb, { key, version }: KeyVersion, arrival: number) =>
  db.selectFrom('keys_holdings').selectAll().where('key', '=', key).where('version', '=', version).where('arrival', '=', arrival);

/** The holding that arrived in one epoch. */
export async function findArrival(db: KeysDb, key: KeyVersion, arrival: number): Promise<Held | undefined> {
  const row = await ofArrival(db, key, arrival).executeTakeFirst();
  return row === undefined ? undefined : heldOf(row);
}

/** As {@link findArrival}, locked. */
export async function lockArrival(tx: KeysTx, key: KeyVersion, arrival: number): Promise<Held | undefined> {
  const row = await ofArrival(tx, key, arrival).forUpdate().executeTakeFirst();
  return row === undefined ? undefined : heldOf(row);
}

/** One spelling, so that the column can be searched and is unique. */
const replacesText = ({ key, version, arrival }: Replaces): string => JSON.stringify({ key, version, arrival });

/** What took the place of a holding, if anything did. */
export async function findReplacement(db: KeysDb, of: Replaces): Promise<Held | undefined> {
  const row = await db.selectFrom('keys_holdings').selectAll().where('replaces', '=', replacesText(of)).executeTakeFirst();
  return row === undefined ? undefined : heldOf(row);
}

export type Listing = {
  readonly tenant?: string;
  readonly vm?: string;
  readonly state?: string;
  readonly key?: KeyId;
  /** A key that left and came back is held anew: without the holdings that were before. */
  readonly only?: 'newest';
};

/** Newest first. */
export async function listHeld(db: KeysDb, filter: Listing, limit: number): Promise<readonly Held[]> {
  let query = db
    .selectFrom('keys_holdings')
    .selectAll()
    .orderBy('created_at', 'desc')
    .orderBy('key')
    .orderBy('arrival', 'desc')
    .limit(limit);
  if (filter.tenant !== undefined) query = query.where('tenant', '=', filter.tenant);
  if (filter.vm !== undefined) query = query.where('vm', '=', filter.vm);
  if (filter.state !== undefined) query = query.where('state', '=', filter.state);
  if (filter.key !== undefined) query = query.where('key', '=', filter.key);
  if (filter.only === 'newest')
    query = query.where(({ not, exists, selectFrom }) =>
      not(
        exists(
          selectFrom('keys_holdings as newer')
            .select('newer.key')
            .whereRef('newer.key', '=', 'keys_holdings.key')
            .whereRef('newer.version', '=', 'keys_holdings.version')
            .whereRef('newer.arrival', '>', 'keys_holdings.arrival'),
        ),
      ),
    );
  return (await query.execute()).map(heldOf);
}

/** A new holding in `pre-activation`, without history; {@link enter} writes its first line. */
export async function insertHeld(tx: KeysTx, held: Held): Promise<void> {
  const { record, wrapped } = held;
  await tx
    .insertInto('keys_holdings')
    .values({
      key: record.key,
      version: record.version,
      arrival: record.arrival,
      tenant: record.tenant,
      vm: record.vm ?? null,
      artifact: record.artifact,
      kind: record.kind,
      derivation: record.derivation,
      capacity_bytes: String(record.capacityBytes),
      header_digest: record.headerDigest ?? null,
      state: record.state,
      origin: record.origin,
      provenance: record.provenance === undefined ? null : JSON.stringify(record.provenance),
      replaces: record.replaces === undefined ? null : replacesText(record.replaces),
      used_by: held.usedBy ?? null,
      sealed_by: held.sealedBy ?? null,
      kek_version: wrapped?.kekVersion ?? null,
      wrapped: wrapped?.wrapped ?? null,
      secret: wrapped?.secret ?? null,
      image_root: record.imageRoot ?? null,
      recovered: record.recovered === undefined ? null : JSON.stringify(record.recovered),
      created_at: record.createdAt,
      changed_at: record.changedAt,
    })
    .execute();
}

/** Changes columns of one holding. */
export async function updateHeld(tx: KeysTx, record: KeyRecord, columns: Partial<Row>): Promise<void> {
  await tx
    .updateTable('keys_holdings')
    .set(columns)
    .where('key', '=', record.key)
    .where('version', '=', record.version)
    .where('arrival', '=', record.arrival)
    .execute();
}
