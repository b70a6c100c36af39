import { type SpiffeId, spiffeId, type Timestamp, timestamp } from '@carnet/events';
import { digestOf, fromBase64 } from '../bytes.ts';
import { refusal } from '../refusal.ts';
import { ok, type Result } from '../result.ts';
import type { EscrowPorts } from './ports.ts';
import { hear, type Said, sealingKey } from './statements.ts';
import { onEscrow } from './tables.ts';

/** `publicKey` in base64; `sealingKey`: its SHA-256. */
export type Custodian = {
  readonly custodian: SpiffeId;
  readonly publicKey: string;
  readonly sealingKey: string;
  readonly enrolledAt: Timestamp;
};

/** A custodian's own word on his sealing key. A new key is for escrows dealt from now on; what was sealed to the old one is so still. */
export async function enroll(ports: EscrowPorts, said: Said): Promise<Result<Custodian>> {
  const heard = hear(sealingKey, said, ports.identify);
  if (!heard.ok) return heard;
  const { custodian, publicKey } = heard.value.said;
  if (custodian !== heard.value.signer)
    return refusal('CUSTODIAN_REFUSED', { about: custodian, expected: custodian, got: heard.value.signer });
  if (!ports.may(custodian, 'hold')) return refusal('ESCROW_ROLE_MISSING', { about: custodian });
  const row = {
    public_key: publicKey,
    envelope: heard.value.envelope,
    certificate: said.certificate,
    enrolled_at: ports.now(),
  };
  await onEscrow(ports.db)
    .insertInto('keys_custodians')
    .values({ custodian, ...row })
    .onConflict((conflict) => conflict.column('custodian').doUpdateSet(row))
    .execute();
  return ok(custodianOf({ custodian, ...row }));
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
