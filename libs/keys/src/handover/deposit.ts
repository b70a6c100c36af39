import type { Digest, EventData, HpkeKem } from '@carnet/events';
import type { Tx } from '@carnet/store';
import { digestOf, fromBase64 } from '../bytes.ts';
import { SEAL_DEPOSIT } from '../child/operations.ts';
import { type BoundKey, depositContextBytes, type Handover, publicKeyText } from '../context.ts';
import { type KeyPorts, type Prepared, tenantKeks } from '../ports.ts';
import { enterHandover } from '../records/handovers.ts';
import { findHeld, type Held, lockHeld, updateHeld } from '../records/holding.ts';
import { holdKek } from '../records/keks.ts';
import { inTransaction } from '../records/tables.ts';
import { refusal } from '../refusal.ts';
import { ok, type Refusal, type Result } from '../result.ts';
import { kemOf } from '../vault/hpke.ts';
import { type Deposit, findDeposit, heldOfDeposit, insertDeposit, lockDeposit } from './deposits.ts';
import { recordHandingOver } from './recorded.ts';

/** All keys of the VM, in the order of the deposit. `headerDigest` of each disk is from the trial unlock at the source. */
/** `kem`: as the offer names it. */
export type DepositRequest = { readonly handover: Handover; readonly kem: HpkeKem; readonly keys: readonly BoundKey[] };

/** Seals all keys of a VM to the target (protocol, section 6). Answers the data of `KeyDeposited`. */
export async function deposit(ports: KeyPorts, request: DepositRequest): Promise<Result<Prepared<EventData<'KeyDeposited'>>>> {
  const { handover, kem, keys } = request;
  const context = digestOf(depositContextBytes(handover, keys));
  const there = await findDeposit(ports.db, handover.migration);
  if (there !== undefined) return ok({ record: (tx) => committed(tx, handover, context) });
  if (handover.notAfter <= ports.now())
    return refusal('DEPOSIT_EXPIRED', { about: handover.migration, expected: handover.notAfter });
  // The peer's, and so far any text: the key process would take another length for a defect of ours.
  if (!publicKeyText.safeParse(handover.publicKey).success) return refusal('PUBLIC_KEY_INVALID', { about: handover.migration });
  // Threat: an offer names the KEM that this side accepts, and has a key of another.
  const offered = kemOf(fromBase64(handover.publicKey));
  if (offered !== kem) return refusal('PROFILE_DIFFERS', { about: handover.migration, expected: kem, got: offered ?? 'none' });
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
  if (made.secrets !== undefined) await holdKek(db, { tenant: made.tenant, version: made.secrets.kekVersion });
  if (!(await insertDeposit(db, made, ports.now()))) return committed(tx, made.handover, made.context);
  for (const [i, { record }] of held.value.entries()) {
    const headerDigest = request.keys[i]?.headerDigest ?? null;
    const usedBy = record.kind === 'memory' ? { used_by: made.migration } : {};
    await updateHeld(db, record, { header_digest: headerDigest, ...usedBy });
    await enterHandover(db, record, made.handover, 'out');
  }
  await recordHandingOver(ports, db, 'deposit', made.handover, held.value);
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
