import type { EventData } from '@carnet/events';
import type { Tx } from '@carnet/store';
import { SEAL_RELEASE } from '../child/operations.ts';
import { type KeyPorts, type Prepared, tenantKeks } from '../ports.ts';
import { findHeld, lockHeld, updateHeld } from '../records/holding.ts';
import { inTransaction } from '../records/tables.ts';
import { refusal } from '../refusal.ts';
import { ok, type Refusal, type Result } from '../result.ts';
import { type Attempt, type Deposit, findDeposit, heldOfDeposit, lockDeposit, ofAttempt, updateDeposit } from './deposits.ts';
import { moveAll } from './ending.ts';
import { recordHandingOver } from './recorded.ts';

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
  for (const { record } of held.value) {
    const root = request.roots.find(({ artifact }) => artifact === record.artifact)?.root;
    if (root !== undefined) await updateHeld(db, record, { image_root: root });
  }
  await updateDeposit(db, request.migration, { state: 'released', release: JSON.stringify(data), changed_at: at });
  await recordHandingOver(ports, db, 'release', found.value.handover, held.value);
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
