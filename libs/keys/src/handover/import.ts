import { type ArtifactId, type Digest, type EventData, type KeyId, keyReleased, type VerifiedRoots } from '@carnet/events';
import type { Tx } from '@carnet/store';
import { digestOf, fromBase64 } from '../bytes.ts';
import { OPEN_RELEASE } from '../child/operations.ts';
import { consume, endUse } from '../deks.ts';
import { type KeyPorts, type Prepared, tenantKeks } from '../ports.ts';
import { change, illegal } from '../records/history.ts';
import { type Held, isSameVersion, lockArrival, type Provenance, updateHeld } from '../records/holding.ts';
import { holdKek } from '../records/keks.ts';
import { isDestroyed } from '../records/states.ts';
import { inTransaction, type KeysTx } from '../records/tables.ts';
import { refusal } from '../refusal.ts';
import { discardReplacement } from '../replacement.ts';
import { impossible, issuesOf, ok, type Refusal, type Result } from '../result.ts';
import { destroy } from '../spares/destroy.ts';
import { keepSpare } from '../spares/keep.ts';
import type { WrappedDek } from '../vault/hierarchy.ts';
import type { Attempt, Ending } from './deposits.ts';
import { findImport, type Import, importOfAttempt, lockImport, type Received, updateImport } from './imports.ts';
import { recordHandingOver } from './recorded.ts';

/** `acknowledged`: digest of the own `DepositAcknowledged`. `roots`: of the own final `ImageVerified`. */
export type ReleaseReceived = Attempt & {
  readonly release: { readonly digest: Digest; readonly data: EventData<'KeyReleased'> };
  readonly acknowledged: Digest;
  readonly roots: VerifiedRoots;
};
export type OpenedKey = { readonly key: KeyId; readonly version: number; readonly artifact: ArtifactId };

/**
 * Opens the release: context, commit and every check value, all keys or none. The keys are then under the target's own KEK, still in
 * pre-activation: good for a trial unlock of each header at the host (`sealForHost`), for nothing else.
 */
export async function openRelease(ports: KeyPorts, request: ReleaseReceived): Promise<Result<Prepared<readonly OpenedKey[]>>> {
  const shape = keyReleased.safeParse(request.release.data);
  if (!shape.success) return refusal('INPUT_INVALID', { about: issuesOf(shape.error) });
  const found = importOfAttempt(await findImport(ports.db, request.migration), request);
  if (!found.ok) return found;
  const { received, privateKey, tenant, state } = found.value;
  if (state === 'opened' || state === 'imported') return ok({ record: (tx) => openedAlready(tx, request) });
  if (received === undefined || state !== 'acknowledged')
    return refusal('IMPORT_STATE', { about: request.migration, expected: 'acknowledged', got: state });
  if (privateKey === undefined) return refusal('MIGRATION_KEY_DESTROYED', { about: request.migration });
  const refused = unfit(request, received);
  if (refused !== undefined) return refused;
  const keks = await tenantKeks(ports, tenant);
  if (!keks.ok) return keks;
  const { data } = request.release;
  await ports.announce(
    received.data.keys.map(({ key, version }) => ({ tenant, key, version, arrival: received.handover.epoch })),
  );
  const opened = await ports.call(OPEN_RELEASE, {
    handover: received.handover,
    tenant,
    keks: keks.value,
    keys: received.data.keys,
    privateKey,
    roots: data.roots,
    acknowledged: request.acknowledged,
    commit: received.data.commit,
    enc: data.enc,
    ct: data.ct,
  });
  if (!opened.ok) return opened;
  return ok({ record: (tx) => recordOpened(ports, tx, request, opened.value) });
}

function unfit({ release: { data }, acknowledged, roots }: ReleaseReceived, received: Received): Refusal | undefined {
  if (data.deposit !== received.deposit) return refusal('DEPOSIT_DIFFERS', { expected: received.deposit, got: data.deposit });
  if (data.acknowledged !== acknowledged)
    return refusal('ACKNOWLEDGEMENT_DIFFERS', { expected: acknowledged, got: data.acknowledged });
  const verified = new Map(roots.map(({ artifact, root }) => [artifact, root]));
  const released = new Map(data.roots.map(({ artifact, root }) => [artifact, root]));
  if (released.size !== data.roots.length || released.size !== verified.size) return refusal('ROOTS_DIFFER');
  for (const [artifact, root] of verified) {
    if (released.get(artifact) !== root)
      return refusal('ROOTS_DIFFER', { about: artifact, expected: root, got: released.get(artifact) ?? 'none' });
  }
  return undefined;
}

async function recordOpened(
  ports: KeyPorts,
  tx: Tx,
  request: ReleaseReceived,
  deks: readonly WrappedDek[],
): Promise<Result<readonly OpenedKey[]>> {
  const db = inTransaction(tx);
  const found = importOfAttempt(await lockImport(db, request.migration), request);
  if (!found.ok) return found;
  if (found.value.state !== 'acknowledged') return openedAlready(tx, request);
  const at = ports.now();
  await updateImport(db, request.migration, { state: 'opened', release: request.release.digest, changed_at: at });
  for (const held of await arrived(db, found.value)) {
    const dek = deks.find((one) => isSameVersion(one, held.record));
    if (dek === undefined) throw impossible(refusal('KEY_UNKNOWN', { about: held.record.key }));
    await holdKek(db, { tenant: dek.tenant, version: dek.kekVersion });
    const root = request.roots.find(({ artifact }) => artifact === held.record.artifact)?.root ?? null;
    await updateHeld(db, held.record, {
      kek_version: dek.kekVersion,
      wrapped: dek.wrapped,
      secret: dek.secret ?? null,
      image_root: root,
      changed_at: at,
    });
  }
  return ok(openedKeys(found.value));
}

async function openedAlready(tx: Tx, request: ReleaseReceived): Promise<Result<readonly OpenedKey[]>> {
  const found = importOfAttempt(await lockImport(inTransaction(tx), request.migration), request);
  if (!found.ok) return found;
  const { state, release } = found.value;
  if (state !== 'opened' && state !== 'imported')
    return refusal('IMPORT_STATE', { about: request.migration, expected: 'acknowledged', got: state });
  if (release !== request.release.digest)
    return refusal('SECOND_RELEASE_OPENED', { expected: release ?? 'none', got: request.release.digest });
  return ok(openedKeys(found.value));
}

const openedKeys = (from: Import): readonly OpenedKey[] =>
  (from.received?.data.keys ?? []).map(({ key, version, artifact }) => ({ key, version, artifact }));

/** Every holding of this migration that is there, locked. */
async function arrived(db: KeysTx, from: Import): Promise<readonly Held[]> {
  const held: Held[] = [];
  for (const key of from.received?.data.keys ?? []) {
    const one = await lockArrival(db, key, from.epoch);
    if (one !== undefined) held.push(one);
  }
  return held;
}

/** All keys active, with their origin; the private key of the migration is destroyed. Answers the data of `KeyImported`. */
export async function importKeys(
  ports: KeyPorts,
  tx: Tx,
  request: Attempt & { readonly release: Digest },
): Promise<Result<EventData<'KeyImported'>>> {
  const db = inTransaction(tx);
  const found = importOfAttempt(await lockImport(db, request.migration), request);
  if (!found.ok) return found;
  const { state, release, received, publicKey } = found.value;
  if ((state !== 'opened' && state !== 'imported') || received === undefined)
    return refusal('IMPORT_STATE', { about: request.migration, expected: 'opened', got: state });
  if (release !== request.release) return refusal('SECOND_RELEASE_OPENED', { expected: release ?? 'none', got: request.release });
  const data = { release: request.release, keys: openedKeys(found.value), destroyedPublicKey: digestOf(fromBase64(publicKey)) };
  if (state === 'imported') return ok(data);
  const held = await arrived(db, found.value);
  const refused = held.map(({ record }) => illegal(record, 'active')).find((refusal) => refusal !== undefined);
  if (refused !== undefined) return refused;
  const at = ports.now();
  const provenance = JSON.stringify(provenanceOf(received, request.release));
  for (const one of held) {
    const { record } = one;
    const active = await change(db, record, 'active', {
      at,
      actor: ports.actor,
      reason: `imported in epoch ${request.epoch}`,
      cause: request.release,
    });
    if (!active.ok) throw impossible(active);
    await updateHeld(db, record, { provenance });
    await consume(ports, tx, record, received.handover.vm);
    await keepSpare(ports, db, one);
  }
  await recordHandingOver(ports, db, 'import', received.handover, held);
  await updateImport(db, request.migration, { state: 'imported', private_key: null, changed_at: at });
  return ok(data);
}

export const provenanceOf = ({ handover: h, deposit }: Pick<Received, 'handover' | 'deposit'>, release: Digest): Provenance => ({
  migration: h.migration,
  epoch: h.epoch,
  source: h.source,
  intent: h.intent,
  offer: h.offer,
  agreed: h.agreed,
  deposit,
  release,
});

/**
 * The VM does not come, or came and has left again: private key, every holding of this migration and what was made to take its place are destroyed. Answers
 * whose keys, for the receipt.
 */
export async function discard(ports: KeyPorts, tx: Tx, ending: Ending): Promise<Result<readonly KeyId[]>> {
  const db = inTransaction(tx);
  const found = importOfAttempt(await lockImport(db, ending.migration), ending);
  if (!found.ok) return found;
  const at = ports.now();
  const held = await arrived(db, found.value);
  const reason = `discarded in epoch ${ending.epoch}`;
  const keys: KeyId[] = [];
  for (const { key, version } of found.value.received?.data.keys ?? []) {
    // A database that came back from a backup may hold what took the place of a key, and not the key.
    const replacement = await discardReplacement(ports, tx, { key, version, arrival: ending.epoch, reason });
    keys.push(key, ...(replacement === undefined ? [] : [replacement.key]));
    const record = held.find((one) => isSameVersion(one.record, { key, version }))?.record;
    if (record === undefined || isDestroyed(record.state)) continue;
    const mark = { at, actor: ports.actor, reason, ...(ending.cause === undefined ? {} : { cause: ending.cause }) };
    const destroyed = await destroy(ports, db, record, mark);
    if (!destroyed.ok) throw impossible(destroyed);
    await endUse(tx, record);
  }
  await updateImport(db, ending.migration, { state: 'discarded', private_key: null, changed_at: at });
  return ok(keys);
}
