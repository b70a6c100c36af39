import { dsseEnvelope, type SpiffeId, spiffeId, type Timestamp, timestamp } from '@carnet/events';
import { atomically } from '../atomically.ts';
import { digestOf, fromBase64 } from '../bytes.ts';
import { ENROLMENT_AHEAD_MS_MAX } from '../limits.ts';
import { refusal } from '../refusal.ts';
import { ok, type Refusal, type Result } from '../result.ts';
import type { EscrowPorts } from './ports.ts';
import { type Heard, hear, payloadOf, type Said, type SealingKey, sealingKey } from './statements.ts';
import { inEscrow, onEscrow } from './tables.ts';

/** `publicKey` in base64; `sealingKey`: its SHA-256. */
export type Custodian = {
  readonly custodian: SpiffeId;
  readonly publicKey: string;
  readonly sealingKey: string;
  readonly enrolledAt: Timestamp;
};

/**
 * A custodian's own word on his sealing key. A new key is for escrows dealt from now on; what was sealed to the old one is so still.
 * Threat: a word of the past, said again by who found the key of then, would have the next escrow sealed to it: only a later one replaces.
 */
export async function enroll(ports: EscrowPorts, said: Said): Promise<Result<Custodian>> {
  const heard = hear(sealingKey, said, ports.identify);
  if (!heard.ok) return heard;
  const { custodian, publicKey } = heard.value.said;
  if (custodian !== heard.value.signer)
    return refusal('CUSTODIAN_REFUSED', { about: custodian, expected: custodian, got: heard.value.signer });
  if (!ports.may(custodian, 'hold')) return refusal('ESCROW_ROLE_MISSING', { about: custodian });
  const now = ports.now();
  // Threat: one dated far ahead would stand for as long, whatever the custodian says later.
  if (Date.parse(heard.value.said.at) - Date.parse(now) > ENROLMENT_AHEAD_MS_MAX)
    return refusal('ENROLMENT_AHEAD', { about: custodian, expected: now, got: heard.value.said.at });
  const row = { public_key: publicKey, envelope: heard.value.envelope, certificate: said.certificate, enrolled_at: now };
  return atomically(ports.db, async (tx) => {
    const db = inEscrow(tx);
    const first = await db
      .insertInto('keys_custodians')
      .values({ custodian, ...row })
      .onConflict((conflict) => conflict.doNothing())
      .executeTakeFirst();
    if ((first.numInsertedOrUpdatedRows ?? 0n) > 0n) return ok(custodianOf({ custodian, ...row }));
    const table = db.selectFrom('keys_custodians').selectAll().where('custodian', '=', custodian);
    const before = await table.forUpdate().executeTakeFirstOrThrow();
    if (before.envelope === row.envelope) return ok(custodianOf(before));
    const old = whyOld(before, heard.value);
    if (old !== undefined) return old;
    await db.updateTable('keys_custodians').set(row).where('custodian', '=', custodian).execute();
    return ok(custodianOf({ custodian, ...row }));
  });
}

function whyOld({ envelope }: { readonly envelope: string }, { said }: Heard<SealingKey>): Refusal | undefined {
  const before = sealingKey.parse(payloadOf(dsseEnvelope.parse(JSON.parse(envelope))));
  return said.at > before.at
    ? undefined
    : refusal('ENROLMENT_OLD', { about: said.custodian, expected: `later than ${before.at}`, got: said.at });
}

export async function listCustodians(ports: EscrowPorts): Promise<readonly Custodian[]> {
  const rows = await onEscrow(ports.db).selectFrom('keys_custodians').selectAll().orderBy('custodian').execute();
  return rows.map(custodianOf);
}

const custodianOf = (row: {
  readonly custodian: string;
  readonly public_key: string;
  readonly enrolled_at: string;
}): Custodian => ({
  custodian: spiffeId.parse(row.custodian),
  publicKey: row.public_key,
  sealingKey: digestOf(fromBase64(row.public_key)),
  enrolledAt: timestamp.parse(row.enrolled_at),
});
