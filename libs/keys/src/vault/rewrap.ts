import { digest, epoch, migrationId } from '@carnet/events';
import { z } from 'zod';
import { fromBase64, type Random, toBase64, wiper } from '../bytes.ts';
import type { Root } from './custody.ts';
import { secretsAad } from './deposit.ts';
import { newestKek, openKekVersion, type Tenant, type TenantKeks } from './hierarchy.ts';
import { migrationKeyAad } from './import.ts';
import { refuse, type VaultResult } from './refusal.ts';
import { openRecord, sealRecord } from './wrap.ts';

const base64 = z.base64();

/** A secret of an open hand-over at rest, and what its row binds it to. `context`: C of the deposit. */
export const keptSecret = z.discriminatedUnion('kind', [
  z
    .strictObject({
      kind: z.literal('deposit'),
      migration: migrationId,
      context: digest,
      kekVersion: z.int().min(1),
      wrapped: base64,
    })
    .readonly(),
  z
    .strictObject({
      kind: z.literal('migration-key'),
      migration: migrationId,
      epoch,
      publicKey: base64,
      kekVersion: z.int().min(1),
      wrapped: base64,
    })
    .readonly(),
]);
export type KeptSecret = z.infer<typeof keptSecret>;

const aadOf = (tenant: Tenant, kekVersion: number, secret: KeptSecret): Buffer =>
  secret.kind === 'deposit'
    ? secretsAad(tenant, kekVersion, Buffer.from(secret.context, 'hex'))
    : migrationKeyAad(tenant, kekVersion, secret, secret.publicKey);

/** The same secrets under the newest KEK; all or none. */
export function rewrapSecrets(
  root: Root,
  input: { readonly tenant: Tenant; readonly keks: TenantKeks; readonly secrets: readonly KeptSecret[] },
  random: Random,
): VaultResult<readonly KeptSecret[]> {
  using wipe = wiper();
  const { tenant, keks } = input;
  const newest = newestKek(root, keks, wipe);
  if (!newest.ok) return newest;
  const { kek, bytes } = newest.value;
  const rewrapped: KeptSecret[] = [];
  for (const secret of input.secrets) {
    const under = openKekVersion(root, keks, secret.kekVersion, wipe);
    if (!under.ok) return under;
    const opened = openRecord(under.value, aadOf(tenant, secret.kekVersion, secret), fromBase64(secret.wrapped));
    if (opened === undefined)
      return refuse(secret.kind === 'deposit' ? 'DEPOSIT_UNOPENABLE' : 'MIGRATION_KEY_UNOPENABLE', secret.migration);
    const wrapped = toBase64(sealRecord(bytes, aadOf(tenant, kek.version, secret), wipe.keep(opened), random));
    rewrapped.push({ ...secret, kekVersion: kek.version, wrapped });
  }
  return { ok: true, value: rewrapped };
}
