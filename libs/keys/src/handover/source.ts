import type { Digest, EventData, KeyId } from '@carnet/events';
import type { Tx } from '@carnet/store';
import { digestOf } from '../bytes.ts';
import { CONFIRM_ACKNOWLEDGEMENT, SEAL_DEPOSIT, SEAL_RELEASE } from '../child/operations.ts';
import { type BoundKey, depositContextBytes, type Handover } from '../context.ts';
import { removeConsumer, vmConsumer } from '../deks.ts';
import { type KeyPorts, type Prepared, tenantKeks } from '../ports.ts';
import { change, type Mark } from '../records/history.ts';
import { findHeld, type Held, lockHeld, updateHeld } from '../records/holding.ts';
import type { KeyState } from '../records/states.ts';
import { inTransaction, type KeysTx } from '../records/tables.ts';
import { refusal } from '../refusal.ts';
import { impossible, ok, type Refusal, type Result } from '../result.ts';
import {
  type Attempt,
  type Deposit,
  type Ending,
  findDeposit,
  heldOfDeposit,
  insertDeposit,
  lockDeposit,
  ofAttempt,
  updateDeposit,
} from './deposits.ts';

/** All keys of the VM, in the order of the deposit. `headerDigest` of each disk is from the trial unlock at the source. */
export type DepositRequest = { readonly handover: Handover; readonly keys: readonly BoundKey[] };

/** Seals all keys of a VM to the target (protocol, section 6). Answers the data of `KeyDeposited`. */
export async function deposit(ports: KeyPorts, request: DepositRequest): Promise<Result<Prepared<EventData<'KeyDeposited'>>>> {
  const { handover, keys } = request;
  const context = digestOf(depositContextBytes(handover, keys));
  const there = await findDeposit(ports.db, handover.migration);
  if (there !== undefined) return ok({ record: (tx) => committed(tx, handover, context) });
  if (handover.notAfter <= ports.now())
    return refusal('DEPOSIT_EXPIRED', { about: handover.migration, expected: handover.notAfter });
  const held = await heldOfDeposit((key) => findHeld(ports.db, key), keys);
  if (!held.ok) return held;
  const refused = undepositable(request, held.value);
  if (refused !== undefined) return refused;
  const [first] = held.value;
  if (first === undefined) return refusal('INPUT_INVALID', { about: 'keys' });
  const { tenant } = first.record;
  const keks = await tenantKeks(ports, tenant);
  if (!keks.ok) return keks;
  const pairs = keys.flatMap((bound, i) => {
    const dek = held.value[i]?.wrapped;
    return dek === undefined ? [] : [{ bound, dek }];
  });
  const sealed = await ports.call(SEAL_DEPOSIT, { handover, tenant, keks: keks.value, keys: pairs });
  if (!sealed.ok) return sealed;
  const { commit, keys: sealedKeys, secrets } = sealed.value;
  const data = { offer: handover.offer, agreed: handover.agreed, commit, notAfter: handover.notAfter, keys: sealedKeys };
  const made: Deposit = { migration: handover.migration, tenant, handover, context, data, secrets, state: 'deposited' };
  return ok({ record: (tx) => recordDeposit(ports, tx, request, made) });
}

/** Each key active, of one tenant, once, and with the properties that its record says. */
function undepositable(request: DepositRequest, held: readonly Held[]): Refusal | undefined {
  const seen = new Set<string>();
  for (const [i, { record, wrapped, usedBy }] of held.entries()) {
    const bound = request.keys[i];
    if (bound === undefined || seen.has(record.key) || seen.has(record.artifact))
      return refusal('KEY_REPEATED', { about: record.key });
    seen.add(record.key).add(record.artifact);
    if (record.state !== 'active' || wrapped === undefined)
      return refusal('KEY_STATE', { about: record.key, expected: 'active', got: record.state });
    if (record.tenant !== held[0]?.record.tenant) return refusal('KEY_TENANT_DIFFERS', { about: record.key });
    const same =
      bound.artifact === record.artifact &&
      bound.kind === record.kind &&
      bound.derivation === record.derivation &&
      bound.capacityBytes === record.capacityBytes;
    if (!same) return refusal('KEY_BOUND_DIFFERS', { about: record.key });
    if (usedBy !== undefined && usedBy !== request.handover.migration) return refusal('MEMORY_KEY_USED', { about: record.key });
  }
  return undefined;
}

async function recordDeposit(
  ports: KeyPorts,
  tx: Tx,
  request: DepositRequest,
  made: Deposit,
): Promise<Result<EventData<'KeyDeposited'>>> {
  const db = inTransaction(tx);
  if ((await lockDeposit(db, made.migration)) !== undefined) return committed(tx, made.handover, made.context);
  const held = await heldOfDeposit((key) => lockHeld(db, key), request.keys);
  if (!held.ok) return held;
  const refused = undepositable(request, held.value);
  if (refused !== undefined) return refused;
  if (!(await insertDeposit(db, made, ports.now()))) return committed(tx, made.handover, made.context);
  for (const [i, { record }] of held.value.entries()) {
    const headerDigest = request.keys[i]?.headerDigest ?? null;
    const usedBy = record.kind === 'memory' ? { used_by: made.migration } : {};
    await updateHeld(db, record, { header_digest: headerDigest, ...usedBy });
  }
  return ok(made.data);
}

/** What is already committed for this epoch, if it was for the same request. */
async function committed(tx: Tx, handover: Handover, context: Digest): Promise<Result<EventData<'KeyDeposited'>>> {
  const there = await lockDeposit(inTransaction(tx), handover.migration);
  if (there === undefined) return refusal('DEPOSIT_UNKNOWN', { about: handover.migration });
  return there.context === context
    ? ok(there.data)
    : refusal('SECOND_DEPOSIT', { about: handover.migration, expected: there.context, got: context });
}

/** `deposit`: digest of the own `KeyDeposited` event. `acknowledged`: the peer's event. */
export type Acknowledgement = Attempt & {
  readonly deposit: Digest;
  readonly acknowledged: { readonly digest: Digest; readonly data: EventData<'DepositAcknowledged'> };
};

/** Key confirmation: does the target hold what was deposited? Release is possible only after this. */
export async function confirmAcknowledgement(ports: KeyPorts, request: Acknowledgement): Promise<Result<Prepared<null>>> {
  const found = ofAttempt(await findDeposit(ports.db, request.migration), request);
  if (!found.ok) return found;
  const { value: held } = found;
  const { digest, data } = request.acknowledged;
  if (data.deposit !== request.deposit) return refusal('DEPOSIT_DIFFERS', { expected: request.deposit, got: data.deposit });
  if (held.secrets === undefined) return refusal('DEPOSIT_STATE', { about: request.migration, got: held.state });
  const keks = await tenantKeks(ports, held.tenant);
  if (!keks.ok) return keks;
  const { handover, tenant, secrets } = held;
  const confirmed = await ports.call(CONFIRM_ACKNOWLEDGEMENT, {
    handover,
    tenant,
    keks: keks.value,
    keys: held.data.keys,
    secrets,
    macs: data.macs,
  });
  if (!confirmed.ok) return confirmed;
  return ok({
    record: async (tx) => {
      const db = inTransaction(tx);
      const now = ofAttempt(await lockDeposit(db, request.migration), request);
      if (!now.ok) return now;
      if (now.value.acknowledged !== undefined)
        return now.value.acknowledged === digest && now.value.deposit === request.deposit
          ? ok(null)
          : refusal('ACKNOWLEDGEMENT_DIFFERS', { expected: now.value.acknowledged, got: digest });
      if (now.value.state !== 'deposited') return refusal('DEPOSIT_STATE', { about: request.migration, got: now.value.state });
      await updateDeposit(db, request.migration, {
        state: 'acknowledged',
        deposit: request.deposit,
        acknowledged: digest,
        changed_at: ports.now(),
      });
      return ok(null);
    },
  });
}

/** What `KeyReleased` cites: digests of events, and the final roots as the target verified them. */
export type ReleaseRequest = Attempt & Omit<EventData<'KeyReleased'>, 'enc' | 'ct'>;

/** Gives Krel away: the point of no unilateral return. With its record the source's keys are suspended. */
export async function release(ports: KeyPorts, request: ReleaseRequest): Promise<Result<Prepared<EventData<'KeyReleased'>>>> {
  const found = ofAttempt(await findDeposit(ports.db, request.migration), request);
  if (!found.ok) return found;
  const held = found.value;
  const refused = unreleasable(held, request);
  if (refused !== undefined) return refused;
  if (held.state === 'released') return ok({ record: (tx) => releasedAlready(tx, request) });
  const { handover, tenant, secrets } = held;
  if (secrets === undefined) return refusal('DEPOSIT_STATE', { about: request.migration, got: held.state });
  const keys = await heldOfDeposit((key) => findHeld(ports.db, key), held.data.keys);
  if (!keys.ok) return keys;
  const keks = await tenantKeks(ports, tenant);
  if (!keks.ok) return keks;
  const deks = keys.value.flatMap(({ wrapped }) => (wrapped === undefined ? [] : [wrapped]));
  const { roots, acknowledged } = request;
  const sealed = await ports.call(SEAL_RELEASE, {
    handover,
    tenant,
    keks: keks.value,
    keys: held.data.keys,
    secrets,
    deks,
    roots,
    acknowledged,
  });
  if (!sealed.ok) return sealed;
  const { migration: _m, epoch: _e, ...cites } = request;
  const data = { ...cites, ...sealed.value };
  return ok({ record: (tx) => recordRelease(ports, tx, request, data) });
}

/** The same refusals before and inside the transaction. */
function unreleasable(held: Deposit, request: ReleaseRequest): Refusal | undefined {
  if (held.state !== 'acknowledged' && held.state !== 'released')
    return refusal('DEPOSIT_STATE', { about: request.migration, expected: 'acknowledged', got: held.state });
  if (held.deposit !== request.deposit)
    return refusal('DEPOSIT_DIFFERS', { expected: held.deposit ?? 'none', got: request.deposit });
  if (held.acknowledged !== request.acknowledged)
    return refusal('ACKNOWLEDGEMENT_DIFFERS', { expected: held.acknowledged ?? 'none', got: request.acknowledged });
  return undefined;
}

async function recordRelease(
  ports: KeyPorts,
  tx: Tx,
  request: ReleaseRequest,
  data: EventData<'KeyReleased'>,
): Promise<Result<EventData<'KeyReleased'>>> {
  const db = inTransaction(tx);
  const found = ofAttempt(await lockDeposit(db, request.migration), request);
  if (!found.ok) return found;
  const refused = unreleasable(found.value, request);
  if (refused !== undefined) return refused;
  if (found.value.state === 'released') return releasedAlready(tx, request);
  const held = await heldOfDeposit((key) => lockHeld(db, key), found.value.data.keys);
  if (!held.ok) return held;
  const inactive = held.value.find(({ record }) => record.state !== 'active');
  if (inactive !== undefined)
    return refusal('KEY_STATE', { about: inactive.record.key, expected: 'active', got: inactive.record.state });
  const at = ports.now();
  await moveAll(db, held.value, 'suspended', {
    at,
    actor: ports.actor,
    reason: `released in epoch ${request.epoch}`,
    cause: request.acknowledged,
  });
  await updateDeposit(db, request.migration, { state: 'released', release: JSON.stringify(data), changed_at: at });
  return ok(data);
}

async function releasedAlready(tx: Tx, request: ReleaseRequest): Promise<Result<EventData<'KeyReleased'>>> {
  const found = ofAttempt(await lockDeposit(inTransaction(tx), request.migration), request);
  if (!found.ok) return found;
  const there = found.value.release;
  if (there === undefined) return refusal('DEPOSIT_STATE', { about: request.migration, got: found.value.state });
  const { enc: _enc, ct: _ct, ...cites } = there;
  const { migration: _m, epoch: _e, ...asked } = request;
  return JSON.stringify(canonical(cites)) === JSON.stringify(canonical(asked))
    ? ok(there)
    : refusal('SECOND_RELEASE', { about: request.migration });
}

const canonical = ({ ready, sealed, verified, deposit, acknowledged, roots }: Omit<EventData<'KeyReleased'>, 'enc' | 'ct'>) => [
  ready,
  sealed,
  verified,
  deposit,
  acknowledged,
  roots.map(({ artifact, root }) => [artifact, root]),
];

/** The VM stays: Krel is destroyed, suspended keys are active again. Asked again it answers the same. */
export async function resume(ports: KeyPorts, tx: Tx, ending: Ending): Promise<Result<readonly KeyId[]>> {
  return end(ports, tx, ending, 'resumed', async (db, held, mark) => {
    await moveAll(
      db,
      held.filter(({ record }) => record.state === 'suspended'),
      'active',
      { ...mark, reason: `resumed in epoch ${ending.epoch}` },
    );
    return undefined;
  });
}

/** The VM has gone: every key of the deposit is destroyed, with Krel. Refused while another consumer than the VM uses a key. */
export async function retire(ports: KeyPorts, tx: Tx, ending: Ending): Promise<Result<readonly KeyId[]>> {
  return end(ports, tx, ending, 'retired', async (db, held, mark, { handover, state }) => {
    if (state !== 'released') return refusal('DEPOSIT_STATE', { about: ending.migration, expected: 'released', got: state });
    for (const { record } of held) {
      const other = await db
        .selectFrom('keys_consumers')
        .select('consumer')
        .where('key', '=', record.key)
        .where('consumer', '!=', vmConsumer(handover.vm))
        .limit(1)
        .executeTakeFirst();
      if (other !== undefined) return refusal('KEY_IN_USE', { about: record.key, got: other.consumer });
    }
    for (const { record } of held) await removeConsumer(tx, record.key, vmConsumer(handover.vm));
    await moveAll(db, held, 'destroyed', { ...mark, reason: `retired in epoch ${ending.epoch}` });
    return undefined;
  });
}

type Finish = (db: KeysTx, held: readonly Held[], mark: Omit<Mark, 'reason'>, deposit: Deposit) => Promise<Refusal | undefined>;

async function end(
  ports: KeyPorts,
  tx: Tx,
  ending: Ending,
  to: 'resumed' | 'retired',
  finish: Finish,
): Promise<Result<readonly KeyId[]>> {
  const db = inTransaction(tx);
  const found = ofAttempt(await lockDeposit(db, ending.migration), ending);
  if (!found.ok) return found;
  const keys = found.value.data.keys.map(({ key }) => key);
  if (found.value.state === to) return ok(keys);
  if (found.value.state === 'resumed' || found.value.state === 'retired')
    return refusal('DEPOSIT_STATE', { about: ending.migration, got: found.value.state });
  const held = await heldOfDeposit((key) => lockHeld(db, key), found.value.data.keys);
  if (!held.ok) return held;
  const at = ports.now();
  const refused = await finish(
    db,
    held.value,
    { at, actor: ports.actor, ...(ending.cause === undefined ? {} : { cause: ending.cause }) },
    found.value,
  );
  if (refused !== undefined) return refused;
  await updateDeposit(db, ending.migration, { state: to, secrets: null, changed_at: at });
  return ok(keys);
}

/** Legal for all or an accident: callers have checked the states under the same lock. */
async function moveAll(db: KeysTx, held: readonly Held[], to: KeyState, mark: Mark): Promise<void> {
  for (const { record } of held) {
    if (record.state === to) continue;
    const changed = await change(db, record, to, mark);
    if (!changed.ok) throw impossible(changed);
  }
}
