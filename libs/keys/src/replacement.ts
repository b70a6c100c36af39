import { type Digest, keyId, uuidv7 } from '@carnet/events';
import type { Tx } from '@carnet/store';
import { CREATE_DEK } from './child/operations.ts';
import { consume, endUse } from './deks.ts';
import { type KeyPorts, type Prepared, tenantKeks } from './ports.ts';
import { inUse } from './records/consumers.ts';
import { change, enter } from './records/history.ts';
import {
  findHeld,
  findReplacement,
  type Held,
  type KeyRecord,
  type KeyVersion,
  lockArrival,
  lockHeld,
  type Replaces,
} from './records/holding.ts';
import { holdKek } from './records/keks.ts';
import { destructionOf, isDestroyed } from './records/states.ts';
import { inTransaction } from './records/tables.ts';
import { refusal } from './refusal.ts';
import { ok, type Result } from './result.ts';
import { destroy } from './spares/destroy.ts';
import { keepSpare } from './spares/keep.ts';
import { reopenSpare } from './spares/reopen.ts';
import { isSameHolding, type SpareName } from './spares/spare.ts';
import type { Holding, TenantKeks, WrappedDek } from './vault/hierarchy.ts';

/** `key`: an active key of a volume, which shall give way. `cause`: digest of the signed event that this rests on. */
export type ReplacementWanted = KeyVersion & { readonly reason: string; readonly cause: Digest };

/**
 * A fresh DEK of this key manager's own for the volume of another key: active at once, with the same VM as consumer, so that it is
 * safe here before any header is touched. A holding has one replacement: asked again, by whomever, it is the same key. Its id is
 * random: a peer that could foresee it would bring a key of that id, and block the move.
 */
export async function createReplacement(ports: KeyPorts, wanted: ReplacementWanted): Promise<Result<Prepared<KeyRecord>>> {
  const old = await findHeld(ports.db, wanted);
  if (old === undefined) return refusal('KEY_UNKNOWN', { about: wanted.key });
  const replaced = await findReplacement(ports.db, holdingOf(old.record));
  if (replaced !== undefined) return ok({ record: async () => ok(replaced.record) });
  if (old.record.state !== 'active')
    return refusal('KEY_STATE', { about: wanted.key, expected: 'active', got: old.record.state });
  const { tenant, vm, artifact, kind, derivation, capacityBytes } = old.record;
  const at = ports.now();
  const key = keyId.parse(uuidv7(Date.parse(at), ports.random(10)));
  const keks = await tenantKeks(ports, tenant);
  if (!keks.ok) return keks;
  const made = await spareOr(ports, keks.value, old.record, { tenant, key, version: 1, arrival: 0 });
  if (!made.ok) return made;
  const record: KeyRecord = {
    key: made.value.key,
    version: made.value.version,
    arrival: made.value.arrival,
    tenant,
    ...(vm === undefined ? {} : { vm }),
    artifact,
    kind,
    derivation,
    capacityBytes,
    state: 'pre-activation',
    origin: 'generated',
    replaces: holdingOf(old.record),
    kekVersion: made.value.kekVersion,
    createdAt: at,
    changedAt: at,
  };
  return ok({ record: (tx) => recordReplacement(ports, tx, { record, wrapped: made.value }, wanted) });
}

/**
 * A key that was made for this volume before, by its spare: its row was lost with a database that was restored, and the host may have opened the
 * volume to it since. Otherwise a fresh one.
 */
async function spareOr(ports: KeyPorts, keks: TenantKeks, old: KeyRecord, fresh: Holding): Promise<Result<WrappedDek>> {
  const [name, ...others] = (await ports.spares.list()).filter(replacing(holdingOf(old)));
  if (others.some((other) => name === undefined || !isSameHolding(other, name)))
    return refusal('SPARE_AMBIGUOUS', { about: old.key });
  if (name !== undefined) return reopenSpare(ports, keks, name);
  await ports.announce([fresh]);
  return ports.call(CREATE_DEK, { keks, holding: fresh });
}

const replacing =
  (of: Replaces) =>
  ({ replaces }: SpareName): boolean =>
    replaces !== undefined && isSameHolding(replaces, of);

const holdingOf = ({ key, version, arrival }: KeyRecord): Replaces => ({ key, version, arrival });

async function recordReplacement(
  ports: KeyPorts,
  tx: Tx,
  held: Held,
  { key, version, reason, cause }: ReplacementWanted,
): Promise<Result<KeyRecord>> {
  const db = inTransaction(tx);
  const { record } = held;
  // The old key's lock orders whoever else replaces it.
  const old = await lockHeld(db, { key, version });
  const there = record.replaces === undefined ? undefined : await findReplacement(db, record.replaces);
  if (there !== undefined) return ok(there.record);
  if (old?.record.state !== 'active' || old.record.arrival !== record.replaces?.arrival)
    return refusal('KEY_STATE', { about: key, expected: 'active', got: old?.record.state ?? 'none' });
  const mark = { at: record.createdAt, actor: ports.actor, reason, cause };
  if (held.wrapped !== undefined) await holdKek(db, { tenant: record.tenant, version: held.wrapped.kekVersion });
  await enter(db, held, mark);
  await keepSpare(ports, db, held);
  if (record.vm !== undefined) await consume(ports, tx, record, record.vm);
  return change(db, record, 'active', mark);
}

/**
 * The volume opens with the replacement only: the old key has no consumer any more, is deactivated and destroyed; its spare stays until
 * that is durable (`eraseSpares`). Refused while something else uses it, or before it has a replacement. Asked again it answers the same.
 */
export async function endReplaced(
  ports: KeyPorts,
  tx: Tx,
  { key, version, reason, cause }: ReplacementWanted,
): Promise<Result<KeyRecord>> {
  const db = inTransaction(tx);
  const old = await lockHeld(db, { key, version });
  if (old === undefined) return refusal('KEY_UNKNOWN', { about: key });
  if (isDestroyed(old.record.state)) return ok(old.record);
  const replacement = await findReplacement(db, holdingOf(old.record));
  if (replacement?.record.state !== 'active')
    return refusal('KEY_STATE', {
      about: key,
      expected: 'replaced by an active key',
      got: replacement?.record.state ?? 'not replaced',
    });
  await endUse(tx, old.record);
  const used = await inUse(db, key);
  if (used !== undefined) return used;
  const mark = { at: ports.now(), actor: ports.actor, reason: `${reason}, by ${replacement.record.key}`, cause };
  const end = (record: KeyRecord) => change(db, record, destructionOf(record.state), mark);
  if (old.record.state === 'compromised') return end(old.record);
  const deactivated = old.record.state === 'deactivated' ? ok(old.record) : await change(db, old.record, 'deactivated', mark);
  return deactivated.ok ? end(deactivated.value) : deactivated;
}

/** The VM goes back: what was made for its volumes is destroyed with them. None was made, or it is destroyed already: fine. */
export async function discardReplacement(
  ports: KeyPorts,
  tx: Tx,
  of: KeyVersion & { readonly arrival: number; readonly reason: string },
): Promise<KeyVersion | undefined> {
  const db = inTransaction(tx);
  const { key, version, arrival } = of;
  const found = await findReplacement(db, { key, version, arrival });
  // And no later holding of the same key: it may have left with the VM, and come back.
  const held = found === undefined ? undefined : await lockArrival(db, found.record, found.record.arrival);
  // Also one whose row was lost, or never came to be.
  await ports.spares.erase(replacing({ key, version, arrival }));
  if (held === undefined) return undefined;
  const { record } = held;
  await endUse(tx, record);
  if (!isDestroyed(record.state)) {
    await destroy(ports, db, record, { at: ports.now(), actor: ports.actor, reason: of.reason });
  }
  return { key: record.key, version: record.version };
}
