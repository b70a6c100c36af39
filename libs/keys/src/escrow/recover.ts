import { approverFault } from '@carnet/events';
import type { Tx } from '@carnet/store';
import { atomically } from '../atomically.ts';
import { RECOVER_DEK } from '../child/operations.ts';
import { lockHeld, updateHeld } from '../records/holding.ts';
import { holdKek } from '../records/keks.ts';
import { inTransaction } from '../records/tables.ts';
import { refusal } from '../refusal.ts';
import { ok, type Refusal, type Result } from '../result.ts';
import { recordUses } from '../uses/chain.ts';
import type { WrappedDek } from '../vault/hierarchy.ts';
import { type Escrow, seatOf } from './escrows.ts';
import { owe } from './news.ts';
import type { EscrowPorts } from './ports.ts';
import {
  type Approved,
  givenShareOf,
  lockRecovery,
  openRecovery,
  type Recovery,
  recoveringOf,
  shown,
  whyEnded,
} from './recoveries.ts';
import { standing } from './standing.ts';
import { signStatement, statementDigest } from './statements.ts';
import { inEscrow, onEscrow } from './tables.ts';

type Wanted = { readonly recovery: string; readonly by: string };

/**
 * Puts the key together out of what M custodians gave, and into this key manager, under its KEK of now. All in a child process; the key
 * is shown to nobody. It replaces no release: a CSP that gave the VM away is refused, whoever approved.
 */
export async function recover(ports: EscrowPorts, wanted: Wanted): Promise<Result<Recovery>> {
  const found = await openRecovery(ports, wanted.recovery);
  if (!found.ok) return found;
  const { recovery, escrow } = found.value;
  const { terms, package: sealedKey } = escrow.manifest;
  const counted = await standing(ports, onEscrow(ports.db), recovery);
  const unfit = whyNotRecover(recovery, counted, terms.threshold, wanted.by);
  if (unfit !== undefined) return unfit;
  const recovering = await recoveringOf(ports, found.value);
  if (!recovering.ok) return recovering;
  const shares = counted.flatMap(({ custodian, share }) => {
    const seat = seatOf(terms, custodian);
    return seat === undefined ? [] : [givenShareOf(escrow, seat, share)];
  });
  const wrapped = await ports.keys.call(RECOVER_DEK, { ...recovering.value, package: sealedKey, shares });
  if (!wrapped.ok) return wrapped;
  return atomically(ports.db, (tx) => record(ports, tx, { ...wanted, escrow, counted, wrapped: wrapped.value }));
}

/**
 * Three duties, three persons: who asked, who approved, who recovers. Threat: whoever asked, or approved, holds an API key, and recovers with it
 * as a third. The others signed with certificates of their own; only this principal comes from the door alone.
 */
function whyNotRecover(
  { request, approvals, recovery }: Recovery,
  counted: readonly Approved[],
  threshold: number,
  by: string,
): Refusal | undefined {
  const others = [request.said.asker, ...approvals.map(({ custodian }) => custodian)];
  if (others.some((other) => approverFault(by, other) !== undefined)) return refusal('RECOVERY_DUTY', { about: by });
  return counted.length < threshold
    ? refusal('APPROVALS_MISSING', { about: recovery, expected: String(threshold), got: String(counted.length) })
    : undefined;
}

/** `counted`: the approvals whose shares made it. */
type Done = Wanted & { readonly escrow: Escrow; readonly counted: readonly Approved[]; readonly wrapped: WrappedDek };

async function record(
  ports: EscrowPorts,
  tx: Tx,
  { recovery: id, by, escrow, counted, wrapped }: Done,
): Promise<Result<Recovery>> {
  const db = inEscrow(tx);
  const now = await lockRecovery(db, id);
  if (now === undefined) return refusal('RECOVERY_UNKNOWN', { about: id });
  const ended = whyEnded(ports, now);
  if (ended !== undefined) return ended;
  const still = new Set((await standing(ports, db, now)).map(({ digest }) => digest));
  if (!counted.every(({ digest }) => still.has(digest))) return refusal('APPROVALS_MISSING', { about: id });
  const { key, version, arrival } = escrow.manifest.terms;
  const keys = inTransaction(tx);
  const held = await lockHeld(keys, { key, version });
  // A release that was recorded meanwhile has suspended it.
  if (held?.record.state !== 'active' || held.record.arrival !== arrival)
    return refusal('KEY_STATE', { about: key, expected: 'active' });
  await holdKek(keys, { tenant: held.record.tenant, version: wrapped.kekVersion });
  const at = ports.now();
  const approvals = counted.map(({ digest }) => digest);
  const said = { kind: 'key-recovered', recovery: now.recovery, request: now.digest, approvals, by, at } as const;
  const envelope = signStatement(said, ports.signer());
  const statement = statementDigest(envelope);
  const recovered = JSON.stringify({ escrow: escrow.escrow, recovery: now.recovery, statement, at });
  await updateHeld(keys, held.record, {
    wrapped: wrapped.wrapped,
    kek_version: wrapped.kekVersion,
    secret: null,
    origin: 'recovered',
    recovered,
  });
  await db
    .updateTable('keys_recoveries')
    .set({ state: 'recovered', private_key: null, outcome: envelope })
    .where('recovery', '=', id)
    .execute();
  await owe(ports, tx, {
    type: 'KeyRecovered',
    data: { escrow: escrow.escrow, recovery: now.recovery, key, version, approvals, statement },
  });
  const use = { operation: 'recover', principal: by, context: { vm: escrow.manifest.terms.vm }, reason: 'ESCROW' } as const;
  await recordUses(keys, at, [{ of: held.record, ...use }]);
  return ok({ ...shown(now), state: 'recovered', outcome: statement });
}
