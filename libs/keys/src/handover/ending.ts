import type { KeyId, VmId } from '@carnet/events';
import type { Tx } from '@carnet/store';
import { endUse, vmConsumer } from '../deks.ts';
import type { KeyPorts } from '../ports.ts';
import { consumersByKey } from '../records/consumers.ts';
import { change, type Mark } from '../records/history.ts';
import { type Held, isSameVersion, type KeyVersion, lockFormer, lockHeld } from '../records/holding.ts';
import { isDestroyed, type KeyState } from '../records/states.ts';
import { inTransaction, type KeysTx } from '../records/tables.ts';
import { refusal } from '../refusal.ts';
import { impossible, ok, type Refusal, type Result } from '../result.ts';
import { destroy } from '../spares/destroy.ts';
import {
  type Deposit,
  type Ending,
  isEnded,
  lockDeposit,
  lockUnendedBy,
  ofAttempt,
  thereOfDeposit,
  updateDeposit,
} from './deposits.ts';

/**
 * The VM stays: Krel is destroyed, and the keys that this very release suspended are active again. Whoever else suspended a key
 * (an operator, a release to another peer) keeps it so. Asked again it answers the same.
 */
export async function resume(ports: KeyPorts, tx: Tx, ending: Ending): Promise<Result<readonly KeyId[]>> {
  return end(ports, tx, ending, 'resumed', async (db, held, mark, { state }) => {
    if (state !== 'released') return undefined;
    await moveAll(
      db,
      held.filter(({ record }) => record.state === 'suspended'),
      'active',
      { ...mark, reason: `resumed in epoch ${ending.epoch}` },
    );
    return undefined;
  });
}

/** `vm`, `keys`: what the signed events say was handed over. */
export type Retiring = Ending & { readonly vm: VmId; readonly keys: readonly KeyVersion[] };

/**
 * The VM has gone: every key of the deposit is destroyed, with Krel. Refused while another consumer than the VM uses a key. Where
 * the record of the deposit is gone or from before the release, the database is a backup, and the events came back from the peer: then
 * they say what is destroyed, with all that the VM used here before.
 */
export async function retire(ports: KeyPorts, tx: Tx, retiring: Retiring): Promise<Result<readonly KeyId[]>> {
  const deposit = await lockDeposit(inTransaction(tx), retiring.migration);
  return deposit?.state === 'released' || deposit?.state === 'retired'
    ? retireRecorded(ports, tx, retiring)
    : retireByLedger(ports, tx, retiring);
}

const retireRecorded = (ports: KeyPorts, tx: Tx, ending: Ending): Promise<Result<readonly KeyId[]>> =>
  end(ports, tx, ending, 'retired', (db, held, mark, { handover }) =>
    destroyAll(ports, tx, db, { held, vm: handover.vm, mark: { ...mark, reason: `retired in epoch ${ending.epoch}` } }),
  );

/**
 * The keys are here as they were before the release, and what was made since is not here at all. The backup may be of before an earlier move of the VM,
 * which left with another key: what it used then, and what opens a release of then, is over too. A key that has come back since stays.
 */
async function retireByLedger(ports: KeyPorts, tx: Tx, retiring: Retiring): Promise<Result<readonly KeyId[]>> {
  const db = inTransaction(tx);
  const { vm, epoch, keys } = retiring;
  const at = ports.now();
  const deposits = await lockUnendedBy(db, vm, epoch);
  const held = await formerOf(db, retiring, [...keys, ...deposits.flatMap(({ data }) => data.keys)]);
  const cause = retiring.cause === undefined ? {} : { cause: retiring.cause };
  const reason = `retired in epoch ${epoch}, by the ledger: the record of its release was lost`;
  const refused = await destroyAll(ports, tx, db, { held, vm, mark: { at, actor: ports.actor, ...cause, reason } });
  if (refused !== undefined) return refused;
  // What came before it left again may have no row at all.
  await ports.spares.erase((name) => name.arrival < epoch && keys.some((key) => isSameVersion(key, name)));
  for (const { migration } of deposits) await updateDeposit(db, migration, { state: 'retired', secrets: null, changed_at: at });
  return ok(keys.map(({ key }) => key));
}

/** Of what came before the VM left: keys that are named, or that it uses. Neither: a key of its that somebody put aside, of which no event tells. */
async function formerOf(db: KeysTx, { vm, epoch }: Retiring, named: readonly KeyVersion[]): Promise<readonly Held[]> {
  const former = await lockFormer(db, vm, epoch);
  const consumers = await consumersByKey(
    db,
    former.map(({ record }) => record.key),
  );
  const isUsed = ({ key }: KeyVersion): boolean => consumers.get(key)?.includes(vmConsumer(vm)) === true;
  return former.filter(({ record }) => isUsed(record) || named.some((key) => isSameVersion(key, record)));
}

type Destroying = { readonly held: readonly Held[]; readonly vm: VmId; readonly mark: Mark };

async function destroyAll(ports: KeyPorts, tx: Tx, db: KeysTx, { held, vm, mark }: Destroying): Promise<Refusal | undefined> {
  for (const { record } of held) {
    const other = await db
      .selectFrom('keys_consumers')
      .select('consumer')
      .where('key', '=', record.key)
      .where('consumer', '!=', vmConsumer(vm))
      .limit(1)
      .executeTakeFirst();
    if (other !== undefined) return refusal('KEY_IN_USE', { about: record.key, got: other.consumer });
  }
  for (const { record } of held) {
    await endUse(tx, record);
    if (isDestroyed(record.state)) continue;
    const destroyed = await destroy(ports, db, record, mark);
    if (!destroyed.ok) throw impossible(destroyed);
  }
  return undefined;
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
  if (isEnded(found.value)) return refusal('DEPOSIT_STATE', { about: ending.migration, got: found.value.state });
  // The key of a saved memory may be lost with a database that came back from a backup: the VM stays, or has gone, without it.
  const held = await thereOfDeposit((key) => lockHeld(db, key), found.value.data.keys);
  const at = ports.now();
  const refused = await finish(
    db,
    held,
    { at, actor: ports.actor, ...(ending.cause === undefined ? {} : { cause: ending.cause }) },
    found.value,
  );
  if (refused !== undefined) return refused;
  await updateDeposit(db, ending.migration, { state: to, secrets: null, changed_at: at });
  return ok(keys);
}

/** Legal for all or an accident: callers have checked the states under the same lock. */
export async function moveAll(db: KeysTx, held: readonly Held[], to: KeyState, mark: Mark): Promise<void> {
  for (const { record } of held) {
    if (record.state === to) continue;
    const changed = await change(db, record, to, mark);
    if (!changed.ok) throw impossible(changed);
  }
}
