import type { DepositedKey, Digest, EventData, VmId } from '@carnet/events';
import type { Tx } from '@carnet/store';
import { digestOf } from '../bytes.ts';
import { boundKeyOf, depositContextBytes, type Handover } from '../context.ts';
import type { KeyPorts } from '../ports.ts';
import { enterHandover, type Sharing } from '../records/handovers.ts';
import { isSameVersion, lockFormer } from '../records/holding.ts';
import { inTransaction } from '../records/tables.ts';
import { type Attempt, insertDeposit, isEnded, lockDeposit, updateDeposit } from './deposits.ts';
import { moveAll } from './ending.ts';

/** With whom keys were shared, by the signed events: a database that came back from a backup may not know it, and each is owed a word on what becomes of them. */
export async function sharedByLedger(
  tx: Tx,
  handover: Handover,
  keys: readonly DepositedKey[],
  direction: Sharing['direction'],
): Promise<void> {
  for (const key of keys) await enterHandover(inTransaction(tx), key, handover, direction);
}

/** A release as its signed events say it. `handover`: once the peer's part of the agreement is here as well. */
export type ReleasedByLedger = Attempt & {
  readonly vm: VmId;
  readonly handover: Handover | undefined;
  readonly deposit: { readonly digest: Digest; readonly data: EventData<'KeyDeposited'> };
  readonly release: EventData<'KeyReleased'>;
};

/**
 * A release that a database has lost which came back from a backup: whatever of its keys is here is suspended, as {@link release} left it, and Krel is gone.
 * Its record is made again, so that an answer that gives the VM back finds what to resume. Nothing of the keys is here, or it has ended: nothing is done.
 */
export async function releasedByLedger(ports: KeyPorts, tx: Tx, released: ReleasedByLedger): Promise<void> {
  const db = inTransaction(tx);
  const { migration, epoch, vm, handover, deposit, release } = released;
  const there = await lockDeposit(db, migration);
  if (there !== undefined && isEnded(there)) return;
  const { keys } = deposit.data;
  const held = (await lockFormer(db, vm, epoch)).filter(({ record }) => keys.some((key) => isSameVersion(key, record)));
  const [first] = held;
  if (first === undefined) return;
  const at = ports.now();
  const reason = `released in epoch ${epoch}, by the ledger: the record of it was lost`;
  await moveAll(
    db,
    held.filter(({ record }) => record.state === 'active'),
    'suspended',
    { at, actor: ports.actor, reason, cause: release.acknowledged },
  );
  if (there?.state === 'released') return;
  if (there === undefined) {
    if (handover === undefined) return;
    const context = digestOf(depositContextBytes(handover, keys.map(boundKeyOf)));
    const { tenant } = first.record;
    await insertDeposit(db, { migration, tenant, handover, context, data: deposit.data, state: 'released' }, at);
  }
  await updateDeposit(db, migration, {
    state: 'released',
    secrets: null,
    deposit: deposit.digest,
    acknowledged: release.acknowledged,
    release: JSON.stringify(release),
    changed_at: at,
  });
}
