import type { Digest, EventData } from '@carnet/events';
import type { Tx } from '@carnet/store';
import { CONFIRM_ACKNOWLEDGEMENT } from '../child/operations.ts';
import { type KeyPorts, type Prepared, tenantKeks } from '../ports.ts';
import { inTransaction } from '../records/tables.ts';
import { refusal } from '../refusal.ts';
import { ok, type Result } from '../result.ts';
import { type Attempt, findDeposit, lockDeposit, ofAttempt, updateDeposit } from './deposits.ts';

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
  const { data } = request.acknowledged;
  if (data.deposit !== request.deposit) return refusal('DEPOSIT_DIFFERS', { expected: request.deposit, got: data.deposit });
  // Confirmed before: the MACs were looked at then.
  if (held.acknowledged === request.acknowledged.digest) return ok({ record: (tx) => recordConfirmed(ports, tx, request) });
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
  return ok({ record: (tx) => recordConfirmed(ports, tx, request) });
}

async function recordConfirmed(ports: KeyPorts, tx: Tx, request: Acknowledgement): Promise<Result<null>> {
  const db = inTransaction(tx);
  const found = ofAttempt(await lockDeposit(db, request.migration), request);
  if (!found.ok) return found;
  const { state, deposit, acknowledged } = found.value;
  const { digest } = request.acknowledged;
  if (acknowledged !== undefined)
    return acknowledged === digest && deposit === request.deposit
      ? ok(null)
      : refusal('ACKNOWLEDGEMENT_DIFFERS', { expected: acknowledged, got: digest });
  if (state !== 'deposited') return refusal('DEPOSIT_STATE', { about: request.migration, got: state });
  await updateDeposit(db, request.migration, {
    state: 'acknowledged',
    deposit: request.deposit,
    acknowledged: digest,
    changed_at: ports.now(),
  });
  return ok(null);
}
