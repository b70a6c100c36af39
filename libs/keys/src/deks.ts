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
import { CREATE_DEK } from './child/operations.ts';
import { LIST_MAX } from './limits.ts';
import { type KeyPorts, type Prepared, tenantKeks } from './ports.ts';
import { consumersOf, inUse } from './records/consumers.ts';
import { type Sharing, sharingsOf } from './records/handovers.ts';
import { change, enter, type History, historyOf } from './records/history.ts';
import { findHeld, type Held, type KeyRecord, type KeyVersion, type Listing, listHeld, lockHeld } from './records/holding.ts';
import { holdKek } from './records/keks.ts';
import { type KeyReport, reportsOf } from './records/reports.ts';
import { destructionOf, isDestroyed, type KeyState } from './records/states.ts';
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
  readonly history: History['lines'];
  readonly historyChain: History['chain'];
  /** Every time it was held here, newest first; the first is the one that counts. */
  readonly holdings: readonly KeyRecord[];
  readonly shared: readonly Sharing[];
  /** What peers said of this key. It changes nothing here: our own operators decide. */
  readonly reports: readonly KeyReport[];
};

/** A fresh DEK, active at once. Asked again with the same id and properties it answers the key that is there. */
export async function createDek(ports: KeyPorts, wanted: NewDek): Promise<Result<Prepared<KeyRecord>>> {
  const at = ports.now();
  const key = wanted.key ?? keyId.parse(uuidv7(Date.parse(at), ports.random(10)));
  const keks = await tenantKeks(ports, wanted.tenant);
  if (!keks.ok) return keks;
  const holding = { tenant: wanted.tenant, key, version: 1, arrival: 0 };
  await ports.announce([holding]);
  const made = await ports.call(CREATE_DEK, { keks: keks.value, holding });
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
  if (held.wrapped !== undefined) await holdKek(db, { tenant: record.tenant, version: held.wrapped.kekVersion });
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
  const history = await historyOf(ports.db, key);
  const all = await listHeld(ports.db, { key: key.key }, LIST_MAX);
  return ok({
    ...held.record,
    consumers: await consumersOf(ports.db, key.key),
    history: history.lines,
    historyChain: history.chain,
    holdings: all.map(({ record }) => record).filter(({ version }) => version === key.version),
    shared: await sharingsOf(ports.db, key),
    reports: await reportsOf(ports.db, key),
  });
}

/**
 * The service's own change of state, part of something greater. Destroying is refused while consumers remain; a compromised key is destroyed as such.
 * A spare stays until the destruction is durable (`eraseSpares`): undone by a restore, it would be the last copy of a key that is needed again.
 */
export type StateChange = KeyVersion & {
  readonly to: KeyState;
  readonly reason: string;
  readonly cause?: Digest;
};

export async function changeState(ports: KeyPorts, tx: Tx, wanted: StateChange): Promise<Result<KeyRecord>> {
  const db = inTransaction(tx);
  const held = await lockHeld(db, wanted);
  if (held === undefined) return refusal('KEY_UNKNOWN', { about: wanted.key });
  const to = wanted.to === 'destroyed' ? destructionOf(held.record.state) : wanted.to;
  if (held.record.state === to) return ok(held.record);
  const used = isDestroyed(to) ? await inUse(db, wanted.key) : undefined;
  if (used !== undefined) return used;
  const { reason, cause } = wanted;
  const mark = { at: ports.now(), actor: ports.actor, reason, ...(cause === undefined ? {} : { cause }) };
  return change(db, held.record, to, mark);
}

/** A VM uses its keys as long as it is here; a memory key only until the VM runs, when it is destroyed. */
export async function consume(ports: KeyPorts, tx: Tx, record: KeyRecord, vm: VmId): Promise<void> {
  if (record.kind !== 'memory') await addConsumer(ports, tx, record.key, vmConsumer(vm));
}

const VM_CONSUMERS = 'vm:';
/** Whoever needs a key says so. */
export const vmConsumer = (vm: VmId): string => `${VM_CONSUMERS}${vm}`;

export async function addConsumer(ports: KeyPorts, tx: Tx, key: KeyId, consumer: string): Promise<void> {
  await inTransaction(tx)
    .insertInto('keys_consumers')
    .values({ key, consumer, added_at: ports.now() })
    .onConflict((conflict) => conflict.doNothing())
    .execute();
}

/**
 * As {@link addConsumer}, of a key that is there and has not been destroyed: a destruction under way comes first, or waits. A key of one
 * VM is needed by no other: a foreign consumer would outlast the VM, and keep its key from being destroyed with it.
 */
export async function need(ports: KeyPorts, tx: Tx, key: KeyVersion, consumer: string): Promise<Result<null>> {
  const held = await lockHeld(inTransaction(tx), key);
  if (held === undefined) return refusal('KEY_UNKNOWN', { about: key.key });
  if (isDestroyed(held.record.state)) return refusal('KEY_STATE', { about: key.key, got: held.record.state });
  const { vm } = held.record;
  if (vm !== undefined && consumer.startsWith(VM_CONSUMERS) && consumer !== vmConsumer(vm))
    return refusal('CONSUMER_FOREIGN', { about: key.key, expected: vmConsumer(vm), got: consumer });
  await addConsumer(ports, tx, key.key, consumer);
  return ok(null);
}

export async function removeConsumer(tx: Tx, key: KeyId, consumer: string): Promise<void> {
  await inTransaction(tx).deleteFrom('keys_consumers').where('key', '=', key).where('consumer', '=', consumer).execute();
}

/** The VM of a holding uses it no more. If a later holding of the same key counts now, the VM has come back with it, and goes on. */
export async function endUse(tx: Tx, { key, version, arrival, vm }: KeyRecord): Promise<void> {
  if (vm === undefined) return;
  const newest = await findHeld(inTransaction(tx), { key, version });
  if (newest?.record.arrival === arrival) await removeConsumer(tx, key, vmConsumer(vm));
}
