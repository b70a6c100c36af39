import { type DepositedKey, type KeyId, replacedVolumes, type TrustDomain } from '@carnet/events';
import type { KeyManager, KeysOver } from '@carnet/keys';
import type { Log } from '@carnet/runtime';
import { type Journey, type MigrationState, sourceEnded, targetEnded } from '@carnet/saga';
import type { Store, Tx } from '@carnet/store';
import type { HeldVm, Inventory } from './inventory.ts';
import type { HandoverKeys } from './keys/handover-keys.ts';
import { inTransaction } from './keys/new-dek.ts';
import { granted } from './keys/refused.ts';
import type { Ledgers } from './ledgers.ts';
import { memoryOf } from './perform/context.ts';

export interface GonePorts {
  readonly self: TrustDomain;
  readonly store: Store;
  readonly ledgers: Pick<Ledgers, 'journeys'>;
  readonly inventory: Pick<Inventory, 'vm' | 'lockVm' | 'remove'>;
  readonly keys: Pick<
    KeyManager,
    'retire' | 'discard' | 'undiscardedOf' | 'stillHoldingOf' | 'undestroyedOf' | 'unendedOf' | 'eraseSpares'
  >;
  readonly handover: Pick<HandoverKeys, 'memoryUsed' | 'reinstate'>;
  readonly log: Pick<Log, 'warn'>;
}

/**
 * A database that came back from a backup holds VMs and keys that this CSP has destroyed since, by its own signed word: as a source that retired, or
 * as a target that gave back. They are destroyed again: what the ledger says is gone stays gone. So are releases that a source took back; its keys are in
 * use again. Asked of each journey with every look, once what it relies on is durable outside of the database.
 */
export async function destroyWhatIsGone(ports: GonePorts, journey: Journey): Promise<void> {
  await reinstateWhatStayed(ports, journey);
  await destroyMemoryKeys(ports, journey);
  await destroyWhatLeft(ports, journey);
  await destroyFormerArrivals(ports, journey);
  await destroyWhatWasGivenBack(ports, journey);
  await ports.keys.eraseSpares(keysOver(journey, ports.self));
}

const retirementIn = ({ migrations }: Journey, self: TrustDomain): MigrationState | undefined =>
  migrations.findLast((m) => m.source === self && m.sourcePhase === 'retired');

async function destroyWhatLeft(ports: GonePorts, journey: Journey): Promise<void> {
  const retired = retirementIn(journey, ports.self);
  if (retired === undefined) return;
  if (!hasLeft(await ports.inventory.vm(journey.vm), retired)) return;
  const isDestroyed = await inTransaction(ports.store, (tx) => destroy(ports, tx, retired));
  if (!isDestroyed) return;
  ports.log.warn(
    { vm: journey.vm, migration: retired.id },
    'this database still held a VM that had left: its keys are destroyed again',
  );
}

/** One that came back has the epoch in which it did. */
const hasLeft = (held: HeldVm | undefined, { epoch }: MigrationState): boolean => held !== undefined && held.epoch < epoch;

/**
 * What brought the VM here before it left, to whomever: a database of before the import does not list the VM, but what was to open its keys; and the
 * keys that left are not those that came, where the VM was re-keyed.
 */
async function destroyFormerArrivals(ports: GonePorts, { vm, migrations }: Journey): Promise<void> {
  const { self, keys, inventory, ledgers, store, log } = ports;
  const ever = migrations.filter((m) => m.target === self && m.facts.KeyImported !== undefined);
  if (ever.length === 0) return;
  const listed = (await inventory.vm(vm))?.epoch;
  const came = ever.filter(({ epoch }) => epoch !== listed);
  const left = await keys.stillHoldingOf(came.map(({ id }) => id));
  if (left.length === 0) return;
  const retired = Math.max(0, ...(await ledgers.journeys(vm)).map((journey) => retirementIn(journey, self)?.epoch ?? 0));
  for (const { id, epoch } of came.filter((m) => left.includes(m.id) && m.epoch < retired)) {
    await inTransaction(store, async (tx) => granted(await keys.discard(tx, { migration: id, epoch })));
    log.warn(
      { vm, migration: id },
      'this database still held keys with which a VM had come that has left: they are destroyed again',
    );
  }
}

/**
 * Whether a withdrawn VM was saved before may follow from what its target said, and that may not have come back yet. It has by the target's own end,
 * for a ledger comes in its order.
 */
const isSure = (m: MigrationState): boolean => m.sourcePhase === 'resumed' || targetEnded(m);

const hasKeptIt = (m: MigrationState, self: TrustDomain): boolean =>
  m.source === self && m.sourcePhase !== 'retired' && sourceEnded(m);

function memoryKeysOver(m: MigrationState, self: TrustDomain): readonly KeyId[] {
  const { MigrationIntended: intent, OfferAgreed: agreed, KeyDeposited: deposit, VmStarted: started } = m.facts;
  if (intent?.data.mode !== 'suspend' || agreed === undefined) return [];
  if (m.source === self) return hasKeptIt(m, self) && isSure(m) ? [memoryOf(m.id).key] : [];
  return started === undefined ? [] : (deposit?.data.keys ?? []).filter(({ kind }) => kind === 'memory').map(({ key }) => key);
}

/** A source that kept its VM: its keys are in use again, and what would have opened their release is destroyed. In a database of before that, neither. */
async function reinstateWhatStayed({ self, keys, handover, log }: GonePorts, { vm, migrations }: Journey): Promise<void> {
  const stayed = migrations.filter((m) => hasKeptIt(m, self));
  const left = await keys.unendedOf(stayed.map(({ id }) => id));
  for (const { id: migration, epoch } of stayed.filter(({ id }) => left.includes(id))) {
    await handover.reinstate(undefined, { migration, epoch });
    log.warn({ vm, migration }, 'this database was of before this move was taken back: its keys are in use again');
  }
}

/**
 * The key of a saved memory is over once its source has ended without giving the VM away, or its target has started it, and is destroyed with that
 * event; but a deposit that was being made at that moment may have made the key since, and a database that came back from a backup may hold it again.
 */
async function destroyMemoryKeys({ self, store, keys, handover }: GonePorts, { vm, migrations }: Journey): Promise<void> {
  const left = await keys.undestroyedOf(migrations.flatMap((m) => memoryKeysOver(m, self)));
  if (left.length === 0) return;
  await inTransaction(store, (tx) =>
    handover.memoryUsed(
      tx,
      vm,
      left.map((key) => ({ key, kind: 'memory' })),
    ),
  );
}

/** Journeys with other peers are looked at meanwhile: by one of them it may have come back. */
async function destroy({ keys, inventory }: GonePorts, tx: Tx, retired: MigrationState): Promise<boolean> {
  const { id, epoch, vm, facts } = retired;
  const { KeyDeposited: deposit, MigrationFinalized: finalized } = facts;
  if (deposit === undefined || !hasLeft(await inventory.lockVm(tx, vm), retired)) return false;
  const cause = finalized === undefined ? {} : { cause: finalized.digest };
  granted(await keys.retire(tx, { migration: id, epoch, vm, keys: deposit.data.keys, ...cause }));
  await inventory.remove(tx, vm);
  return true;
}

/** By its own word a target has nothing left: it gave the VM back, or its copy was discarded after the glass was broken. */
const hasGivenUp = ({ targetPhase }: MigrationState): boolean => targetPhase === 'relinquished' || targetPhase === 'discarded';

async function destroyWhatWasGivenBack(
  { self, keys, inventory, store, log }: GonePorts,
  { vm, migrations }: Journey,
): Promise<void> {
  const givenBack = migrations.filter((m) => m.target === self && hasGivenUp(m));
  const left = await keys.undiscardedOf(givenBack.map(({ id }) => id));
  for (const { id, epoch, facts } of givenBack.filter((m) => left.includes(m.id))) {
    const word = facts.MigrationRelinquished ?? facts.CopyDiscarded;
    await inTransaction(store, async (tx) => {
      const held = await inventory.lockVm(tx, vm);
      granted(await keys.discard(tx, { migration: id, epoch, ...(word === undefined ? {} : { cause: word.digest }) }));
      // Only what this migration brought.
      if (held?.epoch === epoch) await inventory.remove(tx, vm);
    });
    log.warn({ vm, migration: id }, 'this database still held keys of a VM that was given back: they are destroyed again');
  }
}

/**
 * What came here and is over by the ledger: its spares go, once the events that say so are durable outside of the database, and not before. Undone with
 * their transaction, a destruction would leave the VM here without its key.
 */
function keysOver({ migrations }: Journey, self: TrustDomain): readonly KeysOver[] {
  return migrations.flatMap((m): readonly KeysOver[] => {
    const { target, epoch, facts } = m;
    // Only what we took in by our own word can have a spare; whatever else a peer's deposit names may be another VM's key.
    if (target !== self || facts.DepositAcknowledged === undefined || facts.KeyReleased === undefined) return [];
    const isRekeyed = replacedVolumes(facts.VolumeRekeyed?.data).length > 0;
    const isGivenBack = hasGivenUp(m);
    const isUsed = ({ kind }: DepositedKey): boolean => (kind === 'memory' ? facts.VmStarted !== undefined : isRekeyed);
    const deposited = facts.KeyDeposited?.data.keys ?? [];
    const keys = deposited.filter((key) => isGivenBack || isUsed(key)).map(({ key }) => key);
    return keys.length === 0 ? [] : [{ epoch, keys, why: isGivenBack ? 'given-back' : 'used' }];
  });
}
