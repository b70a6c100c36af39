import {
  type Digest,
  type DsseEnvelope,
  digest,
  dsseEnvelope,
  GENESIS,
  isSamePerson,
  personOf,
  type RecoveryId,
  type SpiffeId,
  spiffeId,
  type Timestamp,
} from '@carnet/events';
import { atomically } from '../atomically.ts';
import { CHECK_SHARE, CREATE_RECOVERY_KEY } from '../child/operations.ts';
import { tenantKeks } from '../ports.ts';
import { refusal } from '../refusal.ts';
import { ok, type Refusal, type Result } from '../result.ts';
import { type GivenShare, type RecoveryKey, recoveryKey } from '../vault/escrow.ts';
import { currentEscrow, type Escrow, seatOf, whyNotHolder } from './escrows.ts';
import { unfitEnd } from './expiry.ts';
import { owe } from './news.ts';
import type { EscrowPorts } from './ports.ts';
import {
  type Approval,
  approval,
  ask,
  hear,
  payloadOf,
  type Request,
  request,
  type Said,
  signStatement,
  statementDigest,
} from './statements.ts';
import { type EscrowDb, type EscrowTx, inEscrow, onEscrow } from './tables.ts';

export type Approved = {
  readonly custodian: SpiffeId;
  readonly reason: string;
  readonly at: Timestamp;
  readonly digest: Digest;
  readonly share: GivenShare['sealed'];
};

/** `digest`: of the CSP's signed request. `outcome`: digest of the statement that ended it. */
export type Recovery = {
  readonly recovery: RecoveryId;
  readonly state: 'open' | 'recovered' | 'expired';
  readonly request: Request;
  readonly envelope: DsseEnvelope;
  readonly digest: Digest;
  readonly approvals: readonly Approved[];
  readonly outcome?: Digest;
};

/** With the private key, while it is open; for this lib only. */
export type OpenRecovery = Recovery & { readonly privateKey?: RecoveryKey };

/** Asks for a key back. Whoever asks signs; the CSP adds the key of its key manager and says so in every ledger. Asked again, it is the same recovery. */
export async function askRecovery(ports: EscrowPorts, given: Said): Promise<Result<Recovery>> {
  const heard = hear(ask, given, ports.identify);
  if (!heard.ok) return heard;
  const { said, signer, digest: asked } = heard.value;
  if (said.asker !== signer) return refusal('CUSTODIAN_REFUSED', { expected: said.asker, got: signer });
  if (!ports.may(signer, 'ask')) return refusal('ESCROW_ROLE_MISSING', { about: signer });
  const before = await findRecovery(ports, said.recovery);
  if (before.ok)
    return before.value.request.ask === asked ? ok(shown(before.value)) : refusal('STATEMENT_DIFFERS', { about: said.recovery });
  const current = await currentEscrow(ports, said.escrow);
  if (!current.ok) return current;
  const { escrow, held } = current.value;
  if (said.manifest !== escrow.digest) return refusal('STATEMENT_DIFFERS', { about: said.escrow });
  const unfit = unfitEnd(ports.now(), said.notAfter) ?? (await whyNotHolder(ports, held.record));
  if (unfit !== undefined) return unfit;
  const pair = await ports.keys.call(CREATE_RECOVERY_KEY, { recovery: said.recovery });
  if (!pair.ok) return pair;
  const { publicKey, privateKey } = pair.value;
  const envelope = signStatement(
    { kind: 'recovery-request', ask: asked, said, publicKey, at: ports.now() } satisfies Request,
    ports.signer(),
  );
  const statement = statementDigest(envelope);
  return atomically(ports.db, async (tx) => {
    await inEscrow(tx)
      .insertInto('keys_recoveries')
      .values({
        recovery: said.recovery,
        escrow: said.escrow,
        asker: signer,
        ask: heard.value.envelope,
        certificate: given.certificate,
        envelope,
        digest: statement,
        not_after: said.notAfter,
        state: 'open',
        private_key: privateKey,
        outcome: null,
      })
      .execute();
    const { escrow: of, recovery, notAfter } = said;
    await owe(ports, tx, { type: 'RecoveryRequested', data: { escrow: of, recovery, asker: signer, notAfter, statement } });
    const made = await readRecovery(inEscrow(tx), recovery);
    return made === undefined ? refusal('RECOVERY_UNKNOWN', { about: recovery }) : ok(shown(made));
  });
}

/**
 * One custodian agrees and gives the share. A wrong share is found and named now, when its custodian can be asked, and counts for nothing.
 */
export async function approve(ports: EscrowPorts, given: Said): Promise<Result<Recovery>> {
  const heard = hear(approval, given, ports.identify);
  if (!heard.ok) return heard;
  const { said, signer, envelope, digest: statement } = heard.value;
  if (said.custodian !== signer) return refusal('CUSTODIAN_REFUSED', { expected: said.custodian, got: signer });
  if (!ports.may(signer, 'hold')) return refusal('ESCROW_ROLE_MISSING', { about: signer });
  const found = await openRecovery(ports, said.recovery);
  if (!found.ok) return found;
  const { recovery, escrow } = found.value;
  const seat = seatOf(escrow.manifest.terms, signer);
  const refused = whyNotApprove(ports, recovery, said, seat);
  if (refused !== undefined || seat === undefined) return refused ?? refusal('CUSTODIAN_UNKNOWN', { about: signer });
  const recovering = await recoveringOf(ports, found.value);
  if (!recovering.ok) return recovering;
  const checked = await ports.keys.call(CHECK_SHARE, { ...recovering.value, share: givenShareOf(escrow, seat, said.share) });
  if (!checked.ok) return checked;
  return atomically(ports.db, async (tx) => {
    const db = inEscrow(tx);
    const now = await lockRecovery(db, said.recovery);
    const late = now === undefined ? refusal('RECOVERY_UNKNOWN') : whyNotApprove(ports, now, said, seat);
    if (late !== undefined) return late;
    await db
      .insertInto('keys_recovery_approvals')
      .values({
        recovery: said.recovery,
        person: personOf(signer),
        custodian: signer,
        envelope,
        certificate: given.certificate,
        digest: statement,
      })
      .execute();
    const { escrow: of } = escrow;
    await owe(ports, tx, {
      type: 'RecoveryApproved',
      data: { escrow: of, recovery: said.recovery, custodian: signer, statement },
    });
    const made = await readRecovery(db, said.recovery);
    return made === undefined ? refusal('RECOVERY_UNKNOWN') : ok(shown(made));
  });
}

/** A seat that does not exist: nothing compares with it. */
const NO_SHARE: GivenShare['published'] = { sealed: GENESIS, verify: '' };

export const givenShareOf = ({ manifest }: Escrow, index: number, sealed: GivenShare['sealed']): GivenShare => ({
  index,
  sealed,
  published: manifest.shares[index - 1] ?? NO_SHARE,
});

function whyNotApprove(ports: EscrowPorts, recovery: Recovery, said: Approval, seat: number | undefined): Refusal | undefined {
  const { custodian } = said;
  const ended = whyEnded(ports, recovery);
  if (ended !== undefined) return ended;
  if (said.request !== recovery.digest) return refusal('STATEMENT_DIFFERS', { about: said.recovery });
  if (seat === undefined) return refusal('CUSTODIAN_UNKNOWN', { about: custodian });
  if (isSamePerson(custodian, recovery.request.said.asker)) return refusal('RECOVERY_DUTY', { about: custodian });
  return recovery.approvals.some((other) => isSamePerson(other.custodian, custodian))
    ? refusal('APPROVAL_REPEATED', { about: custodian })
    : undefined;
}

export function whyEnded(ports: EscrowPorts, { state, recovery, request: { said } }: Recovery): Refusal | undefined {
  if (state === 'recovered') return refusal('RECOVERY_ENDED', { about: recovery });
  return state === 'expired' || said.notAfter < ports.now() ? refusal('RECOVERY_EXPIRED', { about: recovery }) : undefined;
}

/** An open recovery with its escrow, if that is still the current one and this CSP still holds the VM. */
export async function openRecovery(ports: EscrowPorts, id: string) {
  const recovery = await readRecovery(onEscrow(ports.db), id);
  if (recovery === undefined) return refusal('RECOVERY_UNKNOWN', { about: id });
  const ended = whyEnded(ports, recovery);
  if (ended !== undefined) return ended;
  const current = await currentEscrow(ports, recovery.request.said.escrow);
  if (!current.ok) return current;
  const { escrow, held } = current.value;
  const unfit = await whyNotHolder(ports, held.record);
  return unfit ?? ok({ recovery, escrow, held });
}

export async function recoveringOf(
  ports: EscrowPorts,
  { recovery, escrow }: { readonly recovery: OpenRecovery; readonly escrow: Escrow },
) {
  const { terms } = escrow.manifest;
  const keks = await tenantKeks(ports.keys, terms.tenant);
  if (!keks.ok) return keks;
  if (recovery.privateKey === undefined) return refusal('RECOVERY_ENDED', { about: recovery.recovery });
  return ok({
    terms,
    recovery: recovery.recovery,
    request: recovery.digest,
    publicKey: recovery.request.publicKey,
    keks: keks.value,
    privateKey: recovery.privateKey,
  });
}

export const shown = ({ privateKey: _own, ...recovery }: OpenRecovery): Recovery => recovery;

type Reading = Pick<EscrowDb, 'selectFrom'>;

export async function lockRecovery(tx: EscrowTx, id: string): Promise<OpenRecovery | undefined> {
  await tx.selectFrom('keys_recoveries').select('recovery').where('recovery', '=', id).forUpdate().execute();
  return readRecovery(tx, id);
}

async function readRecovery(db: Reading, id: string): Promise<OpenRecovery | undefined> {
  const row = await db.selectFrom('keys_recoveries').selectAll().where('recovery', '=', id).executeTakeFirst();
  if (row === undefined) return undefined;
  const rows = await db
    .selectFrom('keys_recovery_approvals')
    .selectAll()
    .where('recovery', '=', id)
    .orderBy('custodian')
    .execute();
  const envelope = dsseEnvelope.parse(JSON.parse(row.envelope));
  const asked = request.parse(payloadOf(envelope));
  return {
    recovery: asked.said.recovery,
    state: row.state === 'open' || row.state === 'recovered' ? row.state : 'expired',
    request: asked,
    envelope,
    digest: digest.parse(row.digest),
    approvals: rows.map((one) => {
      const { reason, at, share } = approval.parse(payloadOf(dsseEnvelope.parse(JSON.parse(one.envelope))));
      return { custodian: spiffeId.parse(one.custodian), reason, at, digest: digest.parse(one.digest), share };
    }),
    ...(row.outcome === null ? {} : { outcome: statementDigest(row.outcome) }),
    ...(row.private_key === null ? {} : { privateKey: recoveryKey.parse(row.private_key) }),
  };
}

export async function findRecovery(ports: EscrowPorts, id: string): Promise<Result<Recovery>> {
  const recovery = await readRecovery(onEscrow(ports.db), id);
  return recovery === undefined ? refusal('RECOVERY_UNKNOWN', { about: id }) : ok(shown(recovery));
}

/** Newest first. */
export async function recoveriesOf(ports: EscrowPorts, escrow: string): Promise<readonly Recovery[]> {
  const db = onEscrow(ports.db);
  const rows = await db
    .selectFrom('keys_recoveries')
    .select('recovery')
    .where('escrow', '=', escrow)
    .orderBy('recovery', 'desc')
    .execute();
  const all = await Promise.all(rows.map((row) => readRecovery(db, row.recovery)));
  return all.flatMap((one) => (one === undefined ? [] : [shown(one)]));
}

/** Requests whose day has passed: the private key goes, and what was given for it opens no more. */
export async function expireRecoveries(ports: EscrowPorts): Promise<number> {
  const ended = await onEscrow(ports.db)
    .updateTable('keys_recoveries')
    .set({ state: 'expired', private_key: null })
    .where('state', '=', 'open')
    .where('not_after', '<', ports.now())
    .executeTakeFirst();
  return Number(ended.numUpdatedRows);
}
