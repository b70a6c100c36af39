import {
  type ArtifactId,
  type DepositedKey,
  type Digest,
  type EventData,
  type HpkeKem,
  type KeyId,
  keyDeposited,
  type MigrationId,
  type Timestamp,
} from '@carnet/events';
import type { Tx } from '@carnet/store';
import { fromBase64, sameBytes } from '../bytes.ts';
import { ACKNOWLEDGE_DEPOSIT, CREATE_MIGRATION_KEY } from '../child/operations.ts';
import { boundKeyOf, DERIVATIONS, depositContext, type Handover } from '../context.ts';
import { LIST_MAX } from '../limits.ts';
import { type KeyPorts, type Prepared, tenantKeks } from '../ports.ts';
import { enterHandover } from '../records/handovers.ts';
import { enter } from '../records/history.ts';
import { type KeyRecord, listHeld } from '../records/holding.ts';
import { holdKek } from '../records/keks.ts';
import { isDestroyed } from '../records/states.ts';
import { inTransaction, type KeysTx } from '../records/tables.ts';
import { refusal } from '../refusal.ts';
import { issuesOf, ok, type Refusal, type Result } from '../result.ts';
import type { Tenant } from '../vault/hierarchy.ts';
import { HYBRID, kemOf } from '../vault/hpke.ts';
import { findImport, importOfAttempt, insertImport, lockImport, type Received, updateImport } from './imports.ts';

/** `tenant`: whose KEK at the target will wrap the keys that arrive. */
export type KeyPairRequest = {
  readonly migration: MigrationId;
  readonly epoch: Handover['epoch'];
  readonly tenant: Tenant;
  /** Default: hybrid. `0x0010` needs a root in a token. */
  readonly kem?: HpkeKem;
};
/** For `MigrationOffered`: `pkB` in base64. */
export type OfferedKey = Pick<EventData<'MigrationOffered'>, 'kem' | 'publicKey'>;

/** One key pair for each migration. Its private half never leaves the child in the clear, and is destroyed at import or discard. */
export async function createMigrationKeyPair(ports: KeyPorts, request: KeyPairRequest): Promise<Result<Prepared<OfferedKey>>> {
  const { migration, epoch, tenant, kem = HYBRID } = request;
  const there = await findImport(ports.db, migration);
  if (there !== undefined) return ok({ record: (tx) => keyPairThere(tx, request) });
  const keks = await tenantKeks(ports, tenant);
  if (!keks.ok) return keks;
  const made = await ports.call(CREATE_MIGRATION_KEY, {
    tenant,
    keks: keks.value,
    attempt: { migration, epoch },
    kem,
    at: ports.now(),
  });
  if (!made.ok) return made;
  return ok({
    record: async (tx) => {
      await holdKek(inTransaction(tx), { tenant, version: made.value.privateKey.kekVersion });
      const inserted = await insertImport(
        inTransaction(tx),
        { migration, epoch, tenant, ...made.value, state: 'offered' },
        ports.now(),
      );
      return inserted ? ok({ kem, publicKey: made.value.publicKey }) : keyPairThere(tx, request);
    },
  });
}

async function keyPairThere(tx: Tx, { migration, epoch, tenant }: KeyPairRequest): Promise<Result<OfferedKey>> {
  const there = await lockImport(inTransaction(tx), migration);
  if (there?.epoch !== epoch || there.tenant !== tenant) return refusal('MIGRATION_KEY_EXISTS', { about: migration });
  if (there.privateKey === undefined) return refusal('MIGRATION_KEY_DESTROYED', { about: migration });
  return ok({ kem: kemOf(fromBase64(there.publicKey)) ?? HYBRID, publicKey: there.publicKey });
}

/** An artifact of the intent: whatever is deposited must be exactly these disks and vTPM (and, beside them, the memory state). */
export type ExpectedArtifact = { readonly artifact: ArtifactId; readonly key: KeyId; readonly capacityBytes: number };

/** `handover`: as the target's own ledgers say it. `deposit`: the peer's event. `artifacts`: of the intent's VM specification. */
export type DepositReceived = {
  readonly handover: Handover;
  readonly deposit: { readonly digest: Digest; readonly data: EventData<'KeyDeposited'> };
  readonly artifacts: readonly ExpectedArtifact[];
};

/** Proves possession of the deposit, and nothing else: without Krel no key opens. Answers the data of `DepositAcknowledged`. */
export async function acknowledge(
  ports: KeyPorts,
  request: DepositReceived,
): Promise<Result<Prepared<EventData<'DepositAcknowledged'>>>> {
  const { handover, deposit } = request;
  const shape = keyDeposited.safeParse(deposit.data);
  if (!shape.success) return refusal('INPUT_INVALID', { about: issuesOf(shape.error) });
  const found = importOfAttempt(await findImport(ports.db, handover.migration), handover);
  if (!found.ok) return found;
  const { privateKey, publicKey, received, tenant } = found.value;
  if (received !== undefined) return ok({ record: (tx) => acknowledgedAlready(tx, request) });
  if (privateKey === undefined) return refusal('MIGRATION_KEY_DESTROYED', { about: handover.migration });
  const refused = unfit(request, publicKey) ?? expired(ports, handover);
  if (refused !== undefined) return refused;
  const keks = await tenantKeks(ports, tenant);
  if (!keks.ok) return keks;
  const macs = await ports.call(ACKNOWLEDGE_DEPOSIT, { handover, tenant, keks: keks.value, keys: deposit.data.keys, privateKey });
  if (!macs.ok) return macs;
  const acknowledgement = {
    deposit: deposit.digest,
    macs: deposit.data.keys.flatMap(({ key }, i) => {
      const mac = macs.value[i];
      return mac === undefined ? [] : [{ key, mac }];
    }),
  };
  return ok({
    record: (tx) =>
      recordAcknowledgement(ports, tx, request, { handover, deposit: deposit.digest, data: deposit.data, acknowledgement }),
  });
}

const expired = (ports: KeyPorts, handover: Handover): Refusal | undefined =>
  handover.notAfter <= ports.now()
    ? refusal('DEPOSIT_EXPIRED', { about: handover.migration, expected: handover.notAfter })
    : undefined;

/** The deposit against what was agreed, each difference with its own code. What it cannot see here, the ciphertext's context refuses. */
function unfit({ handover, deposit: { data }, artifacts }: DepositReceived, publicKey: string): Refusal | undefined {
  if (handover.publicKey !== publicKey) return refusal('PUBLIC_KEY_DIFFERS', { about: handover.migration });
  if (data.offer !== handover.offer) return refusal('OFFER_DIFFERS', { expected: handover.offer, got: data.offer });
  if (data.agreed !== handover.agreed) return refusal('AGREED_DIFFERS', { expected: handover.agreed, got: data.agreed });
  if (data.notAfter !== handover.notAfter) return refusal('INPUT_INVALID', { expected: handover.notAfter, got: data.notAfter });
  const ids = data.keys.flatMap(({ key, artifact }) => [key, artifact]);
  if (new Set<string>(ids).size !== ids.length) return refusal('KEY_REPEATED', { about: handover.migration });
  const unfitting = data.keys.find(({ kind, derivation }) => DERIVATIONS[kind] !== derivation);
  if (unfitting !== undefined) return refusal('DERIVATION_UNFIT', { about: unfitting.artifact });
  return unexpectedArtifact(data, artifacts);
}

function unexpectedArtifact(data: EventData<'KeyDeposited'>, artifacts: readonly ExpectedArtifact[]): Refusal | undefined {
  for (const deposited of data.keys) {
    if (deposited.kind === 'memory') continue;
    const expected = artifacts.find(({ artifact }) => artifact === deposited.artifact);
    if (expected === undefined) return refusal('ARTIFACT_UNKNOWN', { about: deposited.artifact });
    if (expected.key !== deposited.key) return refusal('ARTIFACT_KEY_DIFFERS', { expected: expected.key, got: deposited.key });
    if (expected.capacityBytes !== deposited.capacityBytes)
      return refusal('ARTIFACT_CAPACITY_DIFFERS', {
        expected: String(expected.capacityBytes),
        got: String(deposited.capacityBytes),
      });
  }
  const missing = artifacts.find(({ artifact }) => !data.keys.some((key) => key.artifact === artifact));
  return missing === undefined ? undefined : refusal('ARTIFACT_MISSING', { about: missing.artifact });
}

async function recordAcknowledgement(
  ports: KeyPorts,
  tx: Tx,
  request: DepositReceived,
  received: Received,
): Promise<Result<EventData<'DepositAcknowledged'>>> {
  const db = inTransaction(tx);
  const { handover, data } = received;
  const found = importOfAttempt(await lockImport(db, handover.migration), handover);
  if (!found.ok) return found;
  if (found.value.received !== undefined) return acknowledgedAlready(tx, request);
  if (found.value.state !== 'offered')
    return refusal('IMPORT_STATE', { about: handover.migration, expected: 'offered', got: found.value.state });
  for (const key of data.keys) {
    const shadowed = await findShadowed(db, key.key, handover.epoch);
    if (shadowed) return refusal('KEY_HELD', { about: key.key });
  }
  const at = ports.now();
  await updateImport(db, handover.migration, {
    state: 'acknowledged',
    handover: JSON.stringify(handover),
    deposit: received.deposit,
    deposit_data: JSON.stringify(data),
    acknowledgement: JSON.stringify(received.acknowledgement),
    changed_at: at,
  });
  const mark = { at, actor: ports.actor, reason: `deposited in epoch ${handover.epoch}`, cause: received.deposit };
  for (const key of data.keys) {
    await enter(db, { record: arriving(found.value.tenant, handover, key, at) }, mark);
    await enterHandover(db, key, handover, 'in');
  }
  return ok(received.acknowledgement);
}

/**
 * Threat: a peer deposits a key under the id of a key that another VM uses here. A key comes back only after its former holding is
 * destroyed, and in a later epoch.
 */
async function findShadowed(db: KeysTx, key: KeyId, epoch: number): Promise<boolean> {
  const there = await listHeld(db, { key }, LIST_MAX);
  return there.some(({ record }) => !isDestroyed(record.state) || record.arrival >= epoch);
}

/** A holding without key bytes: the target cannot open it yet. */
function arriving(tenant: Tenant, { epoch, vm }: Handover, deposited: DepositedKey, at: Timestamp): KeyRecord {
  const { key, version, artifact, kind, derivation, capacityBytes, headerDigest } = deposited;
  return {
    key,
    version,
    arrival: epoch,
    tenant,
    vm,
    artifact,
    kind,
    derivation,
    capacityBytes,
    ...(headerDigest === undefined ? {} : { headerDigest }),
    state: 'pre-activation',
    origin: 'migrated',
    createdAt: at,
    changedAt: at,
  };
}

/** The stored answer, if it was to the same deposit under the same context. */
async function acknowledgedAlready(
  tx: Tx,
  { handover, deposit }: DepositReceived,
): Promise<Result<EventData<'DepositAcknowledged'>>> {
  const found = importOfAttempt(await lockImport(inTransaction(tx), handover.migration), handover);
  if (!found.ok) return found;
  const { received, state } = found.value;
  if (received === undefined || state === 'discarded') return refusal('IMPORT_STATE', { about: handover.migration, got: state });
  const same =
    received.deposit === deposit.digest &&
    sameBytes(contextOf(received.handover, received.data), contextOf(handover, deposit.data));
  return same
    ? ok(received.acknowledgement)
    : refusal('SECOND_ACKNOWLEDGEMENT', { expected: received.deposit, got: deposit.digest });
}

const contextOf = (handover: Handover, data: EventData<'KeyDeposited'>): Buffer =>
  depositContext(handover, data.keys.map(boundKeyOf));
