import { keyId } from '@carnet/events';
import { z } from 'zod';
import { fromBase64, type Random, toBase64, transcript, type Wiper, wiper } from '../bytes.ts';
import { KEY_BYTES } from '../limits.ts';
import { refuse, type VaultResult } from './refusal.ts';
import { openRecord, requireKey, sealRecord } from './wrap.ts';

/** Whose keys a KEK wraps: a tenant (project) of this CSP. */
export const tenant = z
  .string()
  .regex(/^[a-z0-9][a-z0-9._-]{0,62}$/)
  .brand<'Tenant'>();
export type Tenant = z.infer<typeof tenant>;

/** A tenant KEK at rest: under the root. `wrapped`: base64 of nonce ‖ ciphertext ‖ tag. */
export const wrappedKek = z.strictObject({ tenant, version: z.int().min(1), wrapped: z.base64() }).readonly();
export type WrappedKek = z.infer<typeof wrappedKek>;

/**
 * One holding of a DEK by this CSP. A key that leaves and comes back is the same key and version, but another holding: `arrival` is the
 * epoch in which it arrived, 0 for a key made here. So "destroyed" stays final although the VM may return.
 */
export const holding = z.strictObject({ tenant, key: keyId, version: z.int().min(1), arrival: z.int().min(0) }).readonly();
export type Holding = z.infer<typeof holding>;

/** A DEK at rest: under the tenant's KEK of `kekVersion`. */
export const wrappedDek = z
  .strictObject({ ...holding.unwrap().shape, kekVersion: z.int().min(1), wrapped: z.base64() })
  .readonly();
export type WrappedDek = z.infer<typeof wrappedDek>;

const kekAad = (kek: { readonly tenant: string; readonly version: number }): Buffer =>
  transcript('carnet/at-rest/kek/v1', [kek.tenant, kek.version]);
const dekAad = (h: Holding, kekVersion: number): Buffer =>
  transcript('carnet/at-rest/dek/v1', [h.tenant, kekVersion, h.key, h.version, h.arrival]);

export function createKek(
  root: Uint8Array,
  kek: { readonly tenant: Tenant; readonly version: number },
  random: Random,
): WrappedKek {
  using wipe = wiper();
  return { ...kek, wrapped: toBase64(sealRecord(root, kekAad(kek), requireKey(wipe.keep(random(KEY_BYTES))), random)) };
}

export function openKek(root: Uint8Array, kek: WrappedKek, wipe: Wiper): VaultResult<Buffer> {
  const opened = openRecord(root, kekAad(kek), fromBase64(kek.wrapped));
  return opened === undefined ? refuse('KEK_UNOPENABLE') : { ok: true, value: wipe.keep(opened) };
}

/** All KEK versions of one tenant. Old ones still open what they wrapped; only the newest wraps. */
export type TenantKeks = readonly WrappedKek[];

export function openKekVersion(root: Uint8Array, keks: TenantKeks, version: number, wipe: Wiper): VaultResult<Buffer> {
  const kek = keks.find((k) => k.version === version);
  return kek === undefined ? refuse('KEK_UNKNOWN') : openKek(root, kek, wipe);
}

export function newestKek(
  root: Uint8Array,
  keks: TenantKeks,
  wipe: Wiper,
): VaultResult<{ readonly kek: WrappedKek; readonly bytes: Buffer }> {
  const kek = keks.reduce<WrappedKek | undefined>(
    (newest, k) => (newest === undefined || k.version > newest.version ? k : newest),
    undefined,
  );
  if (kek === undefined) return refuse('KEK_UNKNOWN');
  const opened = openKek(root, kek, wipe);
  return opened.ok ? { ok: true, value: { kek, bytes: opened.value } } : opened;
}

export const wrapDek = (kek: Uint8Array, kekVersion: number, h: Holding, dek: Uint8Array, random: Random): WrappedDek => ({
  tenant: h.tenant,
  key: h.key,
  version: h.version,
  arrival: h.arrival,
  kekVersion,
  wrapped: toBase64(sealRecord(kek, dekAad(h, kekVersion), requireKey(dek), random)),
});

/** Opens a DEK through its own tenant's KEK; `keks` must hold the version that wraps it. */
export function openDek(root: Uint8Array, keks: TenantKeks, dek: WrappedDek, wipe: Wiper): VaultResult<Buffer> {
  const kek = openKekVersion(
    root,
    keks.filter((k) => k.tenant === dek.tenant),
    dek.kekVersion,
    wipe,
  );
  if (!kek.ok) return refuse(kek.code, dek.key);
  const bytes = openRecord(kek.value, dekAad(dek, dek.kekVersion), fromBase64(dek.wrapped));
  if (bytes === undefined || bytes.length !== KEY_BYTES) return refuse('KEY_UNOPENABLE', dek.key);
  return { ok: true, value: wipe.keep(bytes) };
}

/** A fresh DEK: 32 random bytes, never seen outside. */
export function createDek(root: Uint8Array, keks: TenantKeks, h: Holding, random: Random): VaultResult<WrappedDek> {
  using wipe = wiper();
  const newest = newestKek(root, keks, wipe);
  if (!newest.ok) return newest;
  return { ok: true, value: wrapDek(newest.value.bytes, newest.value.kek.version, h, wipe.keep(random(KEY_BYTES)), random) };
}

/** The same DEKs under the newest KEK; all or none. */
export function rewrapDeks(
  root: Uint8Array,
  keks: TenantKeks,
  deks: readonly WrappedDek[],
  random: Random,
): VaultResult<readonly WrappedDek[]> {
  using wipe = wiper();
  const newest = newestKek(root, keks, wipe);
  if (!newest.ok) return newest;
  const rewrapped: WrappedDek[] = [];
  for (const dek of deks) {
    const opened = openDek(root, keks, dek, wipe);
    if (!opened.ok) return opened;
    rewrapped.push(wrapDek(newest.value.bytes, newest.value.kek.version, dek, opened.value, random));
  }
  return { ok: true, value: rewrapped };
}
