import {
  type ArtifactId,
  type ArtifactKind,
  type DepositedKey,
  type Digest,
  type KeyId,
  keyId,
  uuidv7,
  type VmId,
} from '@carnet/events';
import type { Tx } from '@carnet/store';
import { CREATE_DEK, CREATE_KEK, REWRAP } from './child/operations.ts';
import { LIST_MAX, REWRAP_BATCH_MAX } from './limits.ts';
import { type KeyPorts, type Prepared, tenantKeks } from './ports.ts';
import { change, enter, type HistoryLine, historyOf } from './records/history.ts';
import { findHeld, type Held, type KeyRecord, type KeyVersion, type Listing, listHeld, lockHeld } from './records/holding.ts';
import { insertKek } from './records/keks.ts';
import { isDestroyed, type KeyState } from './records/states.ts';
import { inTransaction } from './records/tables.ts';
import { refusal } from './refusal.ts';
import { ok, type Result } from './result.ts';
import type { Tenant } from './vault/hierarchy.ts';

/** A key to be made. Without `key` a new id is drawn. `derivation`: how the 32 bytes become what opens the artifact. */
export type NewDek = {
  readonly key?: KeyId;
  readonly tenant: Tenant;
  readonly vm?: VmId;
  readonly artifact: ArtifactId;
  readonly kind: ArtifactKind;
  readonly derivation: DepositedKey['derivation'];
  readonly capacityBytes: number;
  readonly reason: string;
};

export type KeyView = KeyRecord & {
  readonly consumers: readonly string[];
  readonly history: readonly HistoryLine[];
  /** Every time it was held here, newest first; the first is the one that counts. */
  readonly holdings: readonly KeyRecord[];
};

/** A fresh DEK, active at once. Asked again with the same id and properties it answers the key that is there. */
export async function createDek(ports: KeyPorts, wanted: NewDek): Promise<Result<Prepared<KeyRecord>>> {
  const at = ports.now();
  const key = wanted.key ?? keyId.parse(uuidv7(Date.parse(at), ports.random(10)));
  const keks = await tenantKeks(ports, wanted.tenant);
  if (!keks.ok) return keks;
  const made = await ports.call(CREATE_DEK, {
    keks: keks.value,
    holding: { tenant: wanted.tenant, key, version: 1, arrival: 0 },
  });
  if (!made.ok) return made;
  const { reason, key: _asked, ...properties } = wanted;
  const record: KeyRecord = {
    ...properties,
    key,
    version: 1,
    arrival: 0,
    state: 'pre-activation',
    origin: 'generated',
    kekVersion: made.value.kekVersion,
    createdAt: at,
    changedAt: at,
  };
  return ok({ record: (tx) => recordDek(ports, tx, { record, wrapped: made.value }, reason) });
}

async function recordDek(ports: KeyPorts, tx: Tx, held: Held, reason: string): Promise<Result<KeyRecord>> {
  const { record } = held;
  const db = inTransaction(tx);
  const there = await lockHeld(db, record);
  if (there !== undefined) return sameKey(there.record, record) ? ok(there.record) : refusal('KEY_EXISTS', { about: record.key });
  const mark = { at: record.createdAt, actor: ports.actor, reason };
  await enter(db, held, mark);
  if (record.vm !== undefined) await consume(ports, tx, record, record.vm);
  return change(db, record, 'active', mark);
}

const sameKey = (a: KeyRecord, b: KeyRecord): boolean =>
  a.arrival === b.arrival &&
  a.tenant === b.tenant &&
  a.vm === b.vm &&
  a.artifact === b.artifact &&
  a.kind === b.kind &&
  a.derivation === b.derivation &&
  a.capacityBytes === b.capacityBytes;

/** Newest first, at most {@link LIST_MAX}. Never a value. */
export async function listKeys(ports: KeyPorts, filter: Listing): Promise<readonly KeyRecord[]> {
  return (await listHeld(ports.db, filter, LIST_MAX)).map((held) => held.record);
}

/** The newest holding of a key, with who uses it and its whole history. */
export async function showKey(ports: KeyPorts, key: KeyVersion): Promise<Result<KeyView>> {
  const held = await findHeld(ports.db, key);
  if (held === undefined) return refusal('KEY_UNKNOWN', { about: key.key });
  const all = await listHeld(ports.db, { key: key.key }, LIST_MAX);
  return ok({
    ...held.record,
    consumers: (await consumersOf(ports, [key.key])).get(key.key) ?? [],
    history: await historyOf(ports.db, key),
    holdings: all.map(({ record }) => record).filter(({ version }) => version === key.version),
  });
}

/** Who needs each of these keys, by key; nobody: not in it. */
export async function consumersOf(ports: KeyPorts, keys: readonly KeyId[]): Promise<ReadonlyMap<KeyId, readonly string[]>> {
  if (keys.length === 0) return new Map();
  const rows = await ports.db
    .selectFrom('keys_consumers')
    .select(['key', 'consumer'])
    .where('key', 'in', keys)
    .orderBy('consumer')
    .execute();
  const found = Map.groupBy(rows, ({ key }) => keyId.parse(key));
  return new Map([...found].map(([key, some]) => [key, some.map(({ consumer }) => consumer)]));
}

/** An operator's or the service's change of state. Destroying is refused while consumers remain. */
export type StateChange = KeyVersion & {
  readonly to: KeyState;
  readonly actor?: string;
  readonly reason: string;
  readonly cause?: Digest;
};

export async function changeState(ports: KeyPorts, tx: Tx, wanted: StateChange): Promise<Result<KeyRecord>> {
  const db = inTransaction(tx);
  const held = await lockHeld(db, wanted);
  if (held === undefined) return refusal('KEY_UNKNOWN', { about: wanted.key });
  if (held.record.state === wanted.to) return ok(held.record);
  if (isDestroyed(wanted.to)) {
    const consumer = await db
      .selectFrom('keys_consumers')
      .select('consumer')
      .where('key', '=', wanted.key)
      .limit(1)
      .executeTakeFirst();
    if (consumer !== undefined) return refusal('KEY_IN_USE', { about: wanted.key, got: consumer.consumer });
  }
  const { actor = ports.actor, reason, cause } = wanted;
  return change(db, held.record, wanted.to, { at: ports.now(), actor, reason, ...(cause === undefined ? {} : { cause }) });
}

/** A VM uses its keys as long as it is here; a memory key only until the VM runs, when it is destroyed. */
export async function consume(ports: KeyPorts, tx: Tx, record: KeyRecord, vm: VmId): Promise<void> {
  if (record.kind !== 'memory') await addConsumer(ports, tx, record.key, vmConsumer(vm));
}

/** Whoever needs a key says so. */
export const vmConsumer = (vm: VmId): string => `vm:${vm}`;

export async function addConsumer(ports: KeyPorts, tx: Tx, key: KeyId, consumer: string): Promise<void> {
  await inTransaction(tx)
    .insertInto('keys_consumers')
    .values({ key, consumer, added_at: ports.now() })
    .onConflict((conflict) => conflict.doNothing())
    .execute();
}

export async function removeConsumer(tx: Tx, key: KeyId, consumer: string): Promise<void> {
  await inTransaction(tx).deleteFrom('keys_consumers').where('key', '=', key).where('consumer', '=', consumer).execute();
}

/**
 * A new KEK version for a tenant, and all its DEKs under it. Interrupted, it is run again: a DEK moves by compare-and-set, and old
 * versions go on opening what they wrapped.
 */
export async function rotateKek(
  ports: KeyPorts,
  tenant: Tenant,
): Promise<Result<{ readonly version: number; readonly rewrapped: number }>> {
  const before = await tenantKeks(ports, tenant);
  if (!before.ok) return before;
  const version = Math.max(...before.value.map((kek) => kek.version)) + 1;
  const made = await ports.call(CREATE_KEK, { tenant, version });
  if (!made.ok) return made;
  await insertKek(ports.db, made.value, ports.now());
  let rewrapped = 0;
  for (let moved = await rewrapSome(ports, tenant); ; moved = await rewrapSome(ports, tenant)) {
    if (!moved.ok) return moved;
    if (moved.value === 0) return ok({ version, rewrapped });
    rewrapped += moved.value;
  }
}

async function rewrapSome(ports: KeyPorts, tenant: Tenant): Promise<Result<number>> {
  const keks = await tenantKeks(ports, tenant);
  if (!keks.ok) return keks;
  const newest = Math.max(...keks.value.map((kek) => kek.version));
  const rows = await ports.db
    .selectFrom('keys_holdings')
    .select(['key', 'version', 'arrival', 'kek_version', 'wrapped'])
    .where('tenant', '=', tenant)
    .where('kek_version', '<', newest)
    .limit(REWRAP_BATCH_MAX)
    .execute();
  const deks = rows.flatMap((row) =>
    row.wrapped === null || row.kek_version === null
      ? []
      : [
          {
            tenant,
            key: keyId.parse(row.key),
            version: row.version,
            arrival: row.arrival,
            kekVersion: row.kek_version,
            wrapped: row.wrapped,
          },
        ],
  );
  if (deks.length === 0) return ok(0);
  const moved = await ports.call(REWRAP, { keks: keks.value, deks });
  if (!moved.ok) return moved;
  for (const [i, dek] of moved.value.entries()) {
    const old = deks[i]?.wrapped ?? '';
    await ports.db
      .updateTable('keys_holdings')
      .set({ kek_version: dek.kekVersion, wrapped: dek.wrapped })
      .where('key', '=', dek.key)
      .where('version', '=', dek.version)
      .where('arrival', '=', dek.arrival)
      .where('wrapped', '=', old)
      .execute();
  }
  return ok(moved.value.length);
}
