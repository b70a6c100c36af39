import {
  type Digest,
  type DrillId,
  type DsseEnvelope,
  digest,
  drillId,
  dsseEnvelope,
  type SpiffeId,
  spiffeId,
  type Timestamp,
  uuidv7,
} from '@carnet/events';
import type { Tx } from '@carnet/store';
import { atomically } from '../atomically.ts';
import { toBase64 } from '../bytes.ts';
import { ESCROW_CHALLENGE_BYTES } from '../limits.ts';
import { refusal } from '../refusal.ts';
import { ok, type Result } from '../result.ts';
import { isProof } from '../vault/share.ts';
import { currentEscrow, readEscrow, seatOf } from './escrows.ts';
import { unfitEnd } from './expiry.ts';
import { owe } from './news.ts';
import type { EscrowPorts, Step } from './ports.ts';
import {
  type Conclusion,
  conclusion,
  type Drill,
  drill,
  hear,
  payloadOf,
  proof,
  type Said,
  signStatement,
  statementDigest,
} from './statements.ts';
import { type EscrowTx, inEscrow, onEscrow } from './tables.ts';

/** `proven`: who has proven possession so far. `conclusion`: once it has ended. */
export type DrillView = {
  readonly drill: Drill;
  readonly envelope: DsseEnvelope;
  readonly digest: Digest;
  readonly proven: readonly SpiffeId[];
  readonly conclusion?: Conclusion;
};

export type DrillWanted = Step & { readonly escrow: string; readonly notAfter: Timestamp };

/** Asks all custodians of an escrow to prove that their shares still open. The key is put together nowhere. */
export async function openDrill(ports: EscrowPorts, { escrow, by, reason, notAfter }: DrillWanted): Promise<Result<DrillView>> {
  const found = await currentEscrow(ports, escrow);
  if (!found.ok) return found;
  const at = ports.now();
  const unfit = unfitEnd(at, notAfter);
  if (unfit !== undefined) return unfit;
  const said: Drill = {
    kind: 'drill',
    drill: drillId.parse(uuidv7(Date.parse(at), ports.keys.random(10))),
    escrow: found.value.escrow.escrow,
    manifest: found.value.escrow.digest,
    challenge: toBase64(ports.keys.random(ESCROW_CHALLENGE_BYTES)),
    by,
    reason,
    notAfter,
    at,
  };
  const envelope = signStatement(said, ports.signer());
  const row = { drill: said.drill, escrow: said.escrow, envelope, digest: statementDigest(envelope), not_after: notAfter };
  await onEscrow(ports.db)
    .insertInto('keys_escrow_drills')
    .values({ ...row, conclusion: null })
    .execute();
  return ok(viewOf({ ...row, conclusion: null }, []));
}

/** One custodian's proof. What is no proof changes nothing: that custodian is still to prove. */
export async function prove(ports: EscrowPorts, given: Said): Promise<Result<DrillView>> {
  const heard = hear(proof, given, ports.identify);
  if (!heard.ok) return heard;
  const { said, signer, envelope, digest: statement } = heard.value;
  if (said.custodian !== signer) return refusal('CUSTODIAN_REFUSED', { expected: said.custodian, got: signer });
  if (!ports.may(signer, 'hold')) return refusal('ESCROW_ROLE_MISSING', { about: signer });
  return atomically(ports.db, async (tx) => {
    const db = inEscrow(tx);
    const found = await lockDrill(db, said.drill);
    if (!found.ok) return found;
    const view = found.value;
    if (said.asked !== view.digest) return refusal('STATEMENT_DIFFERS', { about: said.drill });
    if (view.conclusion !== undefined || view.drill.notAfter < ports.now()) return refusal('DRILL_CLOSED', { about: said.drill });
    const escrow = await readEscrow(db, view.drill.escrow);
    const index = escrow === undefined ? undefined : seatOf(escrow.manifest.terms, signer);
    const published = escrow?.manifest.shares[(index ?? 0) - 1];
    if (escrow === undefined || index === undefined || published === undefined)
      return refusal('CUSTODIAN_UNKNOWN', { about: signer });
    if (!isProof({ terms: escrow.manifest.terms, index }, published, view.drill, said.proof))
      return refusal('SHARE_PROOF_WRONG', { about: signer });
    if (view.proven.includes(signer)) return ok(view);
    await db
      .insertInto('keys_escrow_proofs')
      .values({ drill: said.drill, custodian: signer, envelope, certificate: given.certificate, digest: statement })
      .execute();
    return ok({ ...view, proven: [...view.proven, signer] });
  });
}

/** Ends a drill: who has not proven possession until now has failed, and is named in every ledger. */
export const closeDrill = (ports: EscrowPorts, { drill: id, by }: { readonly drill: string; readonly by: string }) =>
  atomically<DrillView>(ports.db, async (tx) => {
    const db = inEscrow(tx);
    const found = await lockDrill(db, id);
    if (!found.ok) return found;
    const view = found.value;
    if (view.conclusion !== undefined) return ok(view);
    const escrow = await readEscrow(db, view.drill.escrow);
    if (escrow === undefined) return refusal('ESCROW_UNKNOWN', { about: view.drill.escrow });
    return ok({ ...view, conclusion: await conclude(ports, tx, view, escrow.manifest.terms.seats, by) });
  });

async function conclude(
  ports: EscrowPorts,
  tx: Tx,
  view: DrillView,
  seats: readonly { readonly custodian: SpiffeId }[],
  by: string,
): Promise<Conclusion> {
  const { drill: id, escrow } = view.drill;
  const db = inEscrow(tx);
  const proofs = await db
    .selectFrom('keys_escrow_proofs')
    .select('digest')
    .where('drill', '=', id)
    .orderBy('custodian')
    .execute();
  const failed = seats.map(({ custodian }) => custodian).filter((custodian) => !view.proven.includes(custodian));
  const said: Conclusion = {
    kind: 'drill-conclusion',
    drill: id,
    proven: view.proven,
    failed,
    proofs: proofs.map((row) => digest.parse(row.digest)),
    by,
    at: ports.now(),
  };
  const signed = signStatement(said, ports.signer());
  await db.updateTable('keys_escrow_drills').set({ conclusion: signed }).where('drill', '=', id).execute();
  const statement = statementDigest(signed);
  await owe(ports, tx, { type: 'EscrowDrilled', data: { escrow, drill: id, proven: view.proven, failed, statement } });
  return said;
}

type Row = { readonly envelope: string; readonly digest: string; readonly conclusion: string | null };

function viewOf(row: Row, proven: readonly SpiffeId[]): DrillView {
  const envelope = dsseEnvelope.parse(JSON.parse(row.envelope));
  return {
    drill: drill.parse(payloadOf(envelope)),
    envelope,
    digest: digest.parse(row.digest),
    proven,
    ...(row.conclusion === null
      ? {}
      : { conclusion: conclusion.parse(payloadOf(dsseEnvelope.parse(JSON.parse(row.conclusion)))) }),
  };
}

async function lockDrill(db: EscrowTx, id: DrillId | string): Promise<Result<DrillView>> {
  const row = await db.selectFrom('keys_escrow_drills').selectAll().where('drill', '=', id).forUpdate().executeTakeFirst();
  if (row === undefined) return refusal('DRILL_UNKNOWN', { about: id });
  return ok(viewOf(row, await provenIn(db, id)));
}

async function provenIn(db: Pick<EscrowTx, 'selectFrom'>, id: string): Promise<readonly SpiffeId[]> {
  const rows = await db
    .selectFrom('keys_escrow_proofs')
    .select('custodian')
    .where('drill', '=', id)
    .orderBy('custodian')
    .execute();
  return rows.map(({ custodian }) => spiffeId.parse(custodian));
}

/** Newest first. */
export async function drillsOf(ports: EscrowPorts, escrow: string): Promise<readonly DrillView[]> {
  const db = onEscrow(ports.db);
  const rows = await db
    .selectFrom('keys_escrow_drills')
    .selectAll()
    .where('escrow', '=', escrow)
    .orderBy('drill', 'desc')
    .execute();
  return Promise.all(rows.map(async (row) => viewOf(row, await provenIn(db, row.drill))));
}

export async function findDrill(ports: EscrowPorts, id: string): Promise<Result<DrillView>> {
  const db = onEscrow(ports.db);
  const row = await db.selectFrom('keys_escrow_drills').selectAll().where('drill', '=', id).executeTakeFirst();
  return row === undefined ? refusal('DRILL_UNKNOWN', { about: id }) : ok(viewOf(row, await provenIn(db, id)));
}
