import type { DepositedKey, Digest, EventData, RekeyedVolume, Timestamp, VerifiedRoots } from '@carnet/events';
import type { Tx } from '@carnet/store';
import type { Handover } from '../context.ts';
import { consume } from '../deks.ts';
import { type KeyPorts, type Prepared, tenantKeks } from '../ports.ts';
import { enterHandover } from '../records/handovers.ts';
import { change, enter, type Mark } from '../records/history.ts';
import {
  findArrival,
  type Held,
  isSameVersion,
  type KeyRecord,
  lockArrival,
  type Replaces,
  updateHeld,
} from '../records/holding.ts';
import { holdKek } from '../records/keks.ts';
import { inTransaction, type KeysTx } from '../records/tables.ts';
import { refusal } from '../refusal.ts';
import { endReplaced } from '../replacement.ts';
import { impossible, ok, type Result } from '../result.ts';
import { destroy } from '../spares/destroy.ts';
import { keepSpare } from '../spares/keep.ts';
import { reopenSpare } from '../spares/reopen.ts';
import { isSameHolding } from '../spares/spare.ts';
import type { Tenant, TenantKeks, WrappedDek } from '../vault/hierarchy.ts';
import { provenanceOf } from './import.ts';
import { reinstateImport } from './imports.ts';
import { recordHandingOver } from './recorded.ts';

/**
 * A VM that is here with its keys, by the signed events alone. `tenant`: whose KEK wraps what arrives. `memory`: whether a saved state is still to be
 * opened. `rekeyed`: of `VolumeRekeyed`, with its digest.
 */
export type Arrived = {
  readonly handover: Handover;
  readonly tenant: Tenant;
  readonly deposit: { readonly digest: Digest; readonly data: EventData<'KeyDeposited'> };
  readonly acknowledgement: EventData<'DepositAcknowledged'>;
  readonly release: Digest;
  readonly imported: Digest;
  readonly roots: VerifiedRoots;
  readonly memory: 'needed' | 'used';
  readonly rekeyed?: { readonly digest: Digest; readonly volumes: readonly RekeyedVolume[] } | undefined;
};

/** A holding that the events say is here. `of`: the key that came, itself or in whose place this one is. */
type Wanted = { readonly holding: Replaces; readonly of: DepositedKey; readonly replaces?: Replaces };

function wantedOf({ handover: { epoch }, deposit, memory, rekeyed }: Arrived): readonly Wanted[] {
  return deposit.data.keys.flatMap((of): readonly Wanted[] => {
    if (of.kind === 'memory' && memory === 'used') return [];
    const holding = { key: of.key, version: of.version, arrival: epoch };
    const to = rekeyed?.volumes.find(({ from }) => isSameVersion(from, of))?.to;
    return [
      to === undefined ? { holding, of } : { holding: { key: to.key, version: to.version, arrival: 0 }, of, replaces: holding },
    ];
  });
}

/** Keys that the events say are here, and no row holds. A key that an operator suspended or destroyed has its row. */
export async function missingOf({ db }: KeyPorts, arrived: Arrived): Promise<readonly Replaces[]> {
  const missing: Replaces[] = [];
  for (const { holding } of wantedOf(arrived)) {
    const held = await findArrival(db, holding, holding.arrival);
    if (held === undefined || held.record.state === 'pre-activation') missing.push(holding);
  }
  return missing;
}

/**
 * Rows that were committed with events which came back from the peer, after a restored backup, and which no peer can send: made again from their spares,
 * all or none, in all else as the signed events say. Idempotent. Whether the events still say so (nothing after them took the VM away) is
 * the caller's to know.
 */
export async function bringBack(ports: KeyPorts, arrived: Arrived): Promise<Result<Prepared<readonly Replaces[]>>> {
  const missing = await missingOf(ports, arrived);
  const keks = missing.length === 0 ? ok([]) : await tenantKeks(ports, arrived.tenant);
  if (!keks.ok) return keks;
  const back: Back[] = [];
  for (const wanted of wantedOf(arrived).filter(({ holding }) => missing.some((one) => isSameHolding(one, holding)))) {
    const opened = await openedFrom(ports, keks.value, wanted);
    if (!opened.ok) return opened;
    back.push({ ...wanted, dek: opened.value });
  }
  return ok({ record: (tx) => record(ports, tx, arrived, back) });
}

type Back = Wanted & { readonly dek: WrappedDek };

async function openedFrom(ports: KeyPorts, keks: TenantKeks, { holding, replaces }: Wanted): Promise<Result<WrappedDek>> {
  const name = (await ports.spares.list()).find(
    (one) =>
      isSameHolding(one, holding) &&
      (replaces === undefined ? one.replaces === undefined : one.replaces !== undefined && isSameHolding(one.replaces, replaces)),
  );
  return name === undefined ? refusal('SPARE_MISSING', { about: holding.key }) : reopenSpare(ports, keks, name);
}

async function record(ports: KeyPorts, tx: Tx, arrived: Arrived, back: readonly Back[]): Promise<Result<readonly Replaces[]>> {
  const db = inTransaction(tx);
  const { handover, deposit, release, imported, rekeyed } = arrived;
  const at = ports.now();
  const received = { handover, deposit: deposit.digest, data: deposit.data, acknowledgement: arrived.acknowledgement };
  await reinstateImport(db, { received, tenant: arrived.tenant, release, at });
  for (const key of deposit.data.keys) await enterHandover(db, key, handover, 'in');
  const reason = `brought back in epoch ${handover.epoch} from its spare: its row was lost`;
  const mark = { at, actor: ports.actor, reason, cause: rekeyed?.digest ?? imported };
  const held: Held[] = [];
  for (const one of back) {
    const made: Held = { record: recordOf(arrived, one, at), wrapped: one.dek };
    const row = await placed(db, made, mark);
    if (row === undefined) continue;
    const active = await change(db, row, 'active', mark);
    if (!active.ok) throw impossible(active);
    await consume(ports, tx, row, handover.vm);
    await keepSpare(ports, db, made);
    held.push(made);
  }
  const came = held.filter(({ record }) => record.replaces === undefined);
  if (came.length > 0) await recordHandingOver(ports, db, 'import', handover, came);
  for (const { from } of rekeyed?.volumes ?? []) await endOld(ports, tx, { ...from, arrival: handover.epoch }, mark);
  return ok(held.map(({ record: { key, version, arrival } }) => ({ key, version, arrival })));
}

function recordOf(
  { handover, tenant, roots, release, ...arrived }: Arrived,
  { of, holding, replaces, dek }: Back,
  at: Timestamp,
): KeyRecord {
  const { artifact, kind, derivation, capacityBytes, headerDigest } = of;
  const root = roots.find((one) => one.artifact === artifact)?.root;
  const came = {
    ...(headerDigest === undefined ? {} : { headerDigest }),
    ...(root === undefined ? {} : { imageRoot: root }),
    origin: 'migrated' as const,
    provenance: provenanceOf({ handover, deposit: arrived.deposit.digest }, release),
  };
  return {
    ...holding,
    tenant,
    vm: handover.vm,
    artifact,
    kind,
    derivation,
    capacityBytes,
    ...(replaces === undefined ? came : { origin: 'generated', replaces }),
    state: 'pre-activation',
    kekVersion: dek.kekVersion,
    createdAt: at,
    changedAt: at,
  };
}

/** What gave way, if a backup still has it: from before it opened anything, or in use. */
async function endOld(ports: KeyPorts, tx: Tx, old: Replaces, mark: Mark & { readonly cause: Digest }): Promise<void> {
  const db = inTransaction(tx);
  const held = await lockArrival(db, old, old.arrival);
  if (held === undefined) return;
  const isUnopened = held.record.state === 'pre-activation';
  const ended = isUnopened ? await destroy(ports, db, held.record, mark) : await endReplaced(ports, tx, { ...old, ...mark });
  if (!ended.ok) throw impossible(ended);
}

/** The row of one key, not yet active; `undefined`: somebody was quicker. */
async function placed(db: KeysTx, made: Held, mark: Mark): Promise<KeyRecord | undefined> {
  const { record, wrapped } = made;
  if (wrapped === undefined) throw impossible(refusal('KEY_STATE', { about: record.key }));
  await holdKek(db, { tenant: record.tenant, version: wrapped.kekVersion });
  const there = await lockArrival(db, record, record.arrival);
  if (there === undefined) {
    await enter(db, made, mark);
    return record;
  }
  if (there.record.state !== 'pre-activation') return undefined;
  await updateHeld(db, record, {
    kek_version: wrapped.kekVersion,
    wrapped: wrapped.wrapped,
    secret: wrapped.secret ?? null,
    image_root: record.imageRoot ?? null,
    provenance: record.provenance === undefined ? null : JSON.stringify(record.provenance),
    changed_at: mark.at,
  });
  return { ...there.record, kekVersion: wrapped.kekVersion };
}
