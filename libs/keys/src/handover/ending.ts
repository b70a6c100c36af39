import type { KeyId, VmId } from '@carnet/events';
import type { Tx } from '@carnet/store';
import { removeConsumer, vmConsumer } from '../deks.ts';
import type { KeyPorts } from '../ports.ts';
import { change, type Mark } from '../records/history.ts';
import { type Held, type KeyVersion, lockHeld } from '../records/holding.ts';
import { isDestroyed, type KeyState } from '../records/states.ts';
import { inTransaction, type KeysTx } from '../records/tables.ts';
import { refusal } from '../refusal.ts';
import { impossible, ok, type Refusal, type Result } from '../result.ts';
import { destroy } from '../spares/destroy.ts';
import { type Deposit, type Ending, heldOfDeposit, lockDeposit, ofAttempt, updateDeposit } from './deposits.ts';

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
 * they say what is destroyed.
 */
export async function retire(ports: KeyPorts, tx: Tx, retiring: Retiring): Promise<Result<readonly KeyId[]>> {
  const deposit = await lockDeposit(inTransaction(tx), retiring.migration);
  return deposit?.state === 'released' || deposit?.state === 'retired'
    ? retireRecorded(ports, tx, retiring)
    : retireByLedger(ports, tx, retiring, deposit);
}

const retireRecorded = (ports: KeyPorts, tx: Tx, ending: Ending): Promise<Result<readonly KeyId[]>> =>
  end(ports, tx, ending, 'retired', (db, held, mark, { handover }) =>
    destroyAll(ports, tx, db, { held, vm: handover.vm, mark: { ...mark, reason: `retired in epoch ${ending.epoch}` } }),
  );

/** The keys are here as they were before the release, and what was made since is not here at all. */
async function retireByLedger(
  ports: KeyPorts,
  tx: Tx,
  retiring: Retiring,
  deposit: Deposit | undefined,
): Promise<Result<readonly KeyId[]>> {
  const db = inTransaction(tx);
  const at = ports.now();
  const held: Held[] = [];
  for (const key of retiring.keys) {
    const one = await lockHeld(db, key);
    if (one !== undefined && one.record.vm === retiring.vm && !isDestroyed(one.record.state)) held.push(one);
  }
  const cause = retiring.cause === undefined ? {} : { cause: retiring.cause };
  const reason = `retired in epoch ${retiring.epoch}, by the ledger: the record of its release was lost`;
  const refused = await destroyAll(ports, tx, db, { held, vm: retiring.vm, mark: { at, actor: ports.actor, ...cause, reason } });
  if (refused !== undefined) return refused;
  // What came before it left again may have no row at all.
  await ports.spares.erase((name) => name.arrival < retiring.epoch && retiring.keys.some((key) => isSameVersion(key, name)));
  if (deposit !== undefined) await updateDeposit(db, retiring.migration, { state: 'retired', secrets: null, changed_at: at });
  return ok(retiring.keys.map(({ key }) => key));
}

const isSameVersion = (a: KeyVersion, b: KeyVersion): boolean => a.key === b.key && a.version === b.version;

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
    await removeConsumer(tx, record.key, vmConsumer(vm));
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
export async function moveAll(db: KeysTx, held: readonly Held[], to: KeyState, mark: Mark): Promise<void> {
  for (const { record } of held) {
    if (record.state === to) continue;
    const changed = await change(db, record, to, mark);
    if (!changed.ok) throw impossible(changed);
  }
}
