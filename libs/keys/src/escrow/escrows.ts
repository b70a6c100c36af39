import {
  type Digest,
  type DsseEnvelope,
  digest,
  dsseEnvelope,
  type EscrowId,
  escrowId,
  type KeyId,
  uuidv7,
} from '@carnet/events';
import type { Tx } from '@carnet/store';
import { z } from 'zod';
import { atomically } from '../atomically.ts';
import { DEAL_ESCROW } from '../child/operations.ts';
import { tenantKeks } from '../ports.ts';
import { findHeld, type Held, type KeyVersion, lockHeld } from '../records/holding.ts';
import { inTransaction } from '../records/tables.ts';
import { refusal } from '../refusal.ts';
import { ok, type Refusal, type Result } from '../result.ts';
import { recordUses } from '../uses/chain.ts';
import { type SealedShare, sealedShare } from '../vault/share.ts';
import { listCustodians } from './custodians.ts';
import { owe } from './news.ts';
import type { EscrowPorts, Step } from './ports.ts';
import { type Manifest, manifest, payloadOf, signStatement, statementDigest } from './statements.ts';
import { type EscrowDb, inEscrow, onEscrow } from './tables.ts';
import { type EscrowTerms, escrowTerms } from './terms.ts';

/** An escrow as it is kept: what was signed, and the shares as sealed to the custodians. Nothing of it is secret. */
export type Escrow = {
  readonly escrow: EscrowId;
  readonly state: 'current' | 'superseded';
  readonly manifest: Manifest;
  readonly envelope: DsseEnvelope;
  readonly digest: Digest;
  readonly shares: readonly SealedShare[];
};

export type EscrowWanted = KeyVersion & Step & { readonly threshold: number; readonly custodians: readonly string[] };

/** Splits a key that is held and active here. An escrow of it that was before ends with this one. */
export async function createEscrow(ports: EscrowPorts, wanted: EscrowWanted): Promise<Result<Escrow>> {
  const held = await findHeld(ports.keys.db, wanted);
  const unfit = await unfitFor(ports, held, wanted.key);
  if (unfit !== undefined) return unfit;
  if (held?.wrapped === undefined) return refusal('KEY_UNKNOWN', { about: wanted.key });
  const enrolled = await listCustodians(ports);
  const seats = wanted.custodians.map((name) => enrolled.find(({ custodian }) => custodian === name));
  const missing = wanted.custodians.find((_, i) => seats[i] === undefined);
  if (missing !== undefined) return refusal('CUSTODIAN_UNKNOWN', { about: missing });
  const chosen = seats.flatMap((seat) => seat ?? []);
  const terms = escrowTerms.safeParse(termsOf(ports, held, wanted, chosen));
  if (!terms.success) return refusal('ESCROW_TERMS_INVALID');
  const { vm, threshold, seats: dealtTo } = terms.data;
  const notAgreed = await ports.notAgreed(vm, { threshold, shares: dealtTo.length });
  if (notAgreed !== undefined) return refusal('ESCROW_NOT_AGREED', { about: notAgreed });
  const keks = await tenantKeks(ports.keys, terms.data.tenant);
  if (!keks.ok) return keks;
  const sealingKeys = chosen.map(({ publicKey }) => publicKey);
  const dealt = await ports.keys.call(DEAL_ESCROW, { terms: terms.data, sealingKeys, keks: keks.value, dek: held.wrapped });
  if (!dealt.ok) return dealt;
  const shares = dealt.value.shares.map(({ published }) => published);
  const { by, reason } = wanted;
  const said: Manifest = { kind: 'escrow', terms: terms.data, package: dealt.value.package, shares, by, reason, at: ports.now() };
  const envelope = signStatement(said, ports.signer());
  const sealed = dealt.value.shares.map((share) => share.sealed);
  return atomically(ports.db, (tx) => keep(ports, tx, { said, envelope, sealed }));
}

const termsOf = (
  { csp, keys, now }: EscrowPorts,
  { record }: Held,
  { threshold }: EscrowWanted,
  chosen: readonly { readonly custodian: string; readonly sealingKey: string }[],
) => ({
  csp,
  escrow: uuidv7(Date.parse(now()), keys.random(10)),
  key: record.key,
  version: record.version,
  arrival: record.arrival,
  tenant: record.tenant,
  vm: record.vm,
  artifact: record.artifact,
  kind: record.kind,
  derivation: record.derivation,
  capacityBytes: record.capacityBytes,
  ...(record.headerDigest === undefined ? {} : { headerDigest: record.headerDigest }),
  threshold,
  seats: chosen.map(({ custodian, sealingKey }) => ({ custodian, sealingKey })),
});

/** A memory key opens one state once, and is destroyed when the VM runs. A key without a VM has no epoch, and so no holder of it. */
async function unfitFor(ports: EscrowPorts, held: Held | undefined, key: KeyId): Promise<Refusal | undefined> {
  if (held === undefined) return refusal('KEY_UNKNOWN', { about: key });
  const { record } = held;
  return record.kind === 'memory' ? refusal('ESCROW_KEY_UNFIT', { about: key }) : whyNotHolder(ports, record);
}

/** An escrow opens keys only for the holder of the current epoch: by the state of the holding, and by the fold of the ledgers. */
export async function whyNotHolder(ports: EscrowPorts, record: Held['record']): Promise<Refusal | undefined> {
  if (record.vm === undefined) return refusal('ESCROW_KEY_UNFIT', { about: record.key });
  const isHolder = await ports.isHolder(record.vm);
  if (isHolder === 'unsure') return refusal('ESCROW_LEDGERS_BEHIND', { about: record.vm });
  if (!isHolder) return refusal('ESCROW_NOT_HOLDER', { about: record.vm });
  return record.state === 'active'
    ? undefined
    : refusal('KEY_STATE', { about: record.key, expected: 'active', got: record.state });
}

type Kept = { readonly said: Manifest; readonly envelope: string; readonly sealed: readonly SealedShare[] };

async function keep(ports: EscrowPorts, tx: Tx, { said, envelope, sealed }: Kept): Promise<Result<Escrow>> {
  const { terms, shares, at } = said;
  const { escrow, key, version, arrival, threshold, seats } = terms;
  const held = await lockHeld(inTransaction(tx), terms);
  if (held?.record.arrival !== arrival || held.record.state !== 'active') return refusal('KEY_STATE', { about: key });
  const db = inEscrow(tx);
  await db
    .updateTable('keys_escrows')
    .set({ state: 'superseded' })
    .where('key', '=', key)
    .where('version', '=', version)
    .execute();
  const statement = statementDigest(envelope);
  const row = { escrow, key, version, arrival, state: 'current', manifest: envelope, digest: statement, created_at: at };
  await db
    .insertInto('keys_escrows')
    .values({ ...row, shares: JSON.stringify(sealed) })
    .execute();
  const published = seats.flatMap(({ custodian }, i) => {
    const share = shares[i];
    return share === undefined ? [] : [{ custodian, sealed: share.sealed, verify: share.verify }];
  });
  await owe(ports, tx, { type: 'KeyEscrowed', data: { escrow, key, version, threshold, shares: published, statement } });
  const use = { operation: 'escrow', principal: said.by, context: { vm: terms.vm }, reason: 'ESCROW' } as const;
  await recordUses(inTransaction(tx), at, [{ of: terms, ...use }]);
  return ok(escrowOf({ ...row, shares: JSON.stringify(sealed) }));
}

type Row = {
  readonly escrow: string;
  readonly state: string;
  readonly manifest: string;
  readonly digest: string;
  readonly shares: string;
};

const escrowOf = (row: Row): Escrow => {
  const envelope = dsseEnvelope.parse(JSON.parse(row.manifest));
  return {
    escrow: escrowId.parse(row.escrow),
    state: row.state === 'current' ? 'current' : 'superseded',
    manifest: manifest.parse(payloadOf(envelope)),
    envelope,
    digest: digest.parse(row.digest),
    shares: z.array(sealedShare).parse(JSON.parse(row.shares)),
  };
};

/** Current ones first, then newest first. */
export async function listEscrows(ports: EscrowPorts, filter: { readonly key?: string } = {}): Promise<readonly Escrow[]> {
  const all = onEscrow(ports.db).selectFrom('keys_escrows').selectAll().orderBy('state').orderBy('escrow', 'desc');
  const rows = await (filter.key === undefined ? all : all.where('key', '=', filter.key)).execute();
  return rows.map(escrowOf);
}

/** Inside a transaction with its own connection: a second one would wait for the first. */
export async function readEscrow(db: Pick<EscrowDb, 'selectFrom'>, id: string): Promise<Escrow | undefined> {
  const row = await db.selectFrom('keys_escrows').selectAll().where('escrow', '=', id).executeTakeFirst();
  return row === undefined ? undefined : escrowOf(row);
}

/** The escrow, if it is the newest of its key, and the key has not left nor come back since. */
export async function currentEscrow(
  ports: EscrowPorts,
  id: string,
): Promise<Result<{ readonly escrow: Escrow; readonly held: Held }>> {
  const escrow = await readEscrow(onEscrow(ports.db), id);
  if (escrow === undefined) return refusal('ESCROW_UNKNOWN', { about: id });
  const { terms } = escrow.manifest;
  const held = await findHeld(ports.keys.db, terms);
  if (held === undefined) return refusal('KEY_UNKNOWN', { about: terms.key });
  if (escrow.state !== 'current' || held.record.arrival !== terms.arrival) return refusal('ESCROW_SUPERSEDED', { about: id });
  return ok({ escrow, held });
}

export const seatOf = (terms: EscrowTerms, custodian: string): number | undefined => {
  const at = terms.seats.findIndex((seat) => seat.custodian === custodian);
  return at < 0 ? undefined : at + 1;
};
