import type { DepositedKey, Digest, EventData, KeyId, VerifiedRoots } from '@carnet/events';
import { digestOf, fromBase64, joinSecret, type Random, sameBytes, toBase64, transcript, type Wiper, wiper } from '../bytes.ts';
import { type BoundKey, boundKeyOf, depositContext, type Handover, keyContext, releaseAad } from '../context.ts';
import { HASH_BYTES, KEY_BYTES } from '../limits.ts';
import type { Custody, Root } from './custody.ts';
import { newestKek, openDek, openKekVersion, type Tenant, type TenantKeks, type WrappedDek } from './hierarchy.ts';
import { sealBase } from './hpke.ts';
import { refuse, type VaultResult } from './refusal.ts';
import { deriveKey, hmac, keyWrap, openRecord, sealRecord } from './wrap.ts';

export const DEK_INFO = Buffer.from('carnet/dek/v1');
export const KREL_INFO = Buffer.from('carnet/krel/v1');
/** HPKE exporter context (RFC 9180, section 5.3) of the acknowledgement's MAC key. */
export const ACKNOWLEDGEMENT_EXPORT = Buffer.from('carnet/acknowledgement/v1');
/** Nothing is exported from the release; the interface asks for a context all the same. */
export const UNUSED_EXPORT = Buffer.from('carnet/unused/v1');

export const commitOf = (c: Uint8Array, krel: Uint8Array): Digest => digestOf(Buffer.from('krel'), c, krel);

/** HKDF(Krel, key id): one wrapping key for each DEK. */
export const wrappingKeyOf = (krel: Uint8Array, key: KeyId): Buffer =>
  deriveKey(krel, Buffer.alloc(0), transcript('carnet/dek-wrap/v1', [key]));

/** Key check value: proves the DEK under its context. It travels inside the release only: in the clear it would be an oracle. */
export const checkValueOf = (dek: Uint8Array, c: Uint8Array): Buffer => hmac(dek, transcript('carnet/kcv/v1', [c]));

export const acknowledgementMac = (exported: Uint8Array, c: Uint8Array): Buffer =>
  hmac(exported, transcript('carnet/acknowledged/v1', [c]));

export const secretsAad = (tenant: string, kekVersion: number, c: Uint8Array): Buffer =>
  transcript('carnet/at-rest/deposit/v1', [tenant, kekVersion, c]);

/** What the source keeps of a deposit, under the tenant's KEK: Krel ‖ the MAC key of each key, in order. */
export type DepositSecrets = { readonly kekVersion: number; readonly wrapped: string };

type SourceKeys = { readonly handover: Handover; readonly tenant: Tenant; readonly keks: TenantKeks };

/** Seals every DEK to `pkB` under one fresh Krel. */
export async function sealDeposit(
  custody: Custody,
  input: SourceKeys & { readonly keys: readonly { readonly bound: BoundKey; readonly dek: WrappedDek }[] },
  random: Random,
): Promise<VaultResult<{ readonly commit: Digest; readonly keys: readonly DepositedKey[]; readonly secrets: DepositSecrets }>> {
  using wipe = wiper();
  const { handover, tenant } = input;
  const newest = newestKek(custody.root, input.keks, wipe);
  if (!newest.ok) return newest;
  const { kek, bytes: kekBytes } = newest.value;
  const krel = wipe.keep(random(KEY_BYTES));
  const keys: DepositedKey[] = [];
  const macKeys: Buffer[] = [];
  for (const { bound, dek } of input.keys) {
    const opened = await openDek(custody, input.keks, dek, wipe);
    if (!opened.ok) return opened;
    const c = keyContext(handover, bound);
    const inner = wipe.keep(keyWrap(wipe.keep(wrappingKeyOf(krel, bound.key)), opened.value));
    const to = {
      publicKey: fromBase64(handover.publicKey),
      info: Buffer.concat([DEK_INFO, c]),
      aad: c,
      exporterContext: ACKNOWLEDGEMENT_EXPORT,
    };
    const sealed = await sealBase(to, inner);
    if (sealed === undefined) return refuse('PUBLIC_KEY_INVALID');
    macKeys.push(wipe.keep(sealed.exported));
    keys.push({ ...bound, enc: toBase64(sealed.enc), ct: toBase64(sealed.ct) });
  }
  const c = depositContext(
    handover,
    input.keys.map((key) => key.bound),
  );
  const secrets = wipe.keep(joinSecret([krel, ...macKeys]));
  const wrapped = toBase64(sealRecord(kekBytes, secretsAad(tenant, kek.version, c), secrets, random));
  return { ok: true, value: { commit: commitOf(c, krel), keys, secrets: { kekVersion: kek.version, wrapped } } };
}

type HeldDeposit = SourceKeys & { readonly keys: readonly DepositedKey[]; readonly secrets: DepositSecrets };

function openSecrets(
  root: Root,
  held: HeldDeposit,
  wipe: Wiper,
): VaultResult<{ readonly krel: Buffer; readonly macKeys: readonly Buffer[] }> {
  const kek = openKekVersion(root, held.keks, held.secrets.kekVersion, wipe);
  if (!kek.ok) return kek;
  const c = depositContext(held.handover, held.keys.map(boundKeyOf));
  const opened = openRecord(kek.value, secretsAad(held.tenant, held.secrets.kekVersion, c), fromBase64(held.secrets.wrapped));
  if (opened === undefined || opened.length !== KEY_BYTES + held.keys.length * HASH_BYTES) return refuse('DEPOSIT_UNOPENABLE');
  const secrets = wipe.keep(opened);
  const macKeys = held.keys.map((_, i) => secrets.subarray(KEY_BYTES + i * HASH_BYTES, KEY_BYTES + (i + 1) * HASH_BYTES));
  return { ok: true, value: { krel: secrets.subarray(0, KEY_BYTES), macKeys } };
}

/** Does the target hold what was deposited? One MAC for each key, all or none, in the deposit's order. */
export function confirmAcknowledgement(
  { root }: Custody,
  held: HeldDeposit & { readonly macs: EventData<'DepositAcknowledged'>['macs'] },
): VaultResult<null> {
  using wipe = wiper();
  const opened = openSecrets(root, held, wipe);
  if (!opened.ok) return opened;
  if (held.macs.length !== held.keys.length) return refuse('ACKNOWLEDGEMENT_INCOMPLETE');
  for (const [i, key] of held.keys.entries()) {
    const claimed = held.macs[i];
    const macKey = opened.value.macKeys[i];
    if (claimed?.key !== key.key || macKey === undefined) return refuse('ACKNOWLEDGEMENT_INCOMPLETE', key.key);
    const expected = acknowledgementMac(macKey, keyContext(held.handover, boundKeyOf(key)));
    if (!sameBytes(expected, Buffer.from(claimed.mac, 'hex'))) return refuse('ACKNOWLEDGEMENT_MAC_WRONG', key.key);
  }
  return { ok: true, value: null };
}

export type ReleaseRefs = { readonly roots: VerifiedRoots; readonly acknowledged: Digest };

/** Krel and the check value of every key, to `pkB`, bound to the final roots and to the acknowledgement. */
export async function sealRelease(
  custody: Custody,
  held: HeldDeposit & ReleaseRefs & { readonly deks: readonly WrappedDek[] },
): Promise<VaultResult<{ readonly enc: string; readonly ct: string }>> {
  using wipe = wiper();
  const opened = openSecrets(custody.root, held, wipe);
  if (!opened.ok) return opened;
  const checkValues: Buffer[] = [];
  for (const key of held.keys) {
    const dek = held.deks.find((d) => d.key === key.key && d.version === key.version);
    if (dek === undefined) return refuse('KEY_UNKNOWN', key.key);
    const plain = await openDek(custody, held.keks, dek, wipe);
    if (!plain.ok) return plain;
    checkValues.push(wipe.keep(checkValueOf(plain.value, keyContext(held.handover, boundKeyOf(key)))));
  }
  const c = depositContext(held.handover, held.keys.map(boundKeyOf));
  const sealed = await sealBase(
    {
      publicKey: fromBase64(held.handover.publicKey),
      info: Buffer.concat([KREL_INFO, c]),
      aad: releaseAad(c, held.roots, held.acknowledged),
      exporterContext: UNUSED_EXPORT,
    },
    wipe.keep(joinSecret([opened.value.krel, ...checkValues])),
  );
  if (sealed === undefined) return refuse('PUBLIC_KEY_INVALID');
  wipe.keep(sealed.exported);
  return { ok: true, value: { enc: toBase64(sealed.enc), ct: toBase64(sealed.ct) } };
}
