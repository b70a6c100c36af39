import { keyId } from '@carnet/events';
import { z } from 'zod';
import { fromBase64, type Random, sameBytes, toBase64, transcript, type Wiper, wiper } from '../bytes.ts';
import type { Handover } from '../context.ts';
import { KEY_BYTES } from '../limits.ts';
import type { Custody, Root } from './custody.ts';
import { refuse, type VaultResult } from './refusal.ts';
import { hmac, openRecord, requireKey, sealRecord } from './wrap.ts';

/** Whose keys a KEK wraps: a project of this CSP, or `<home domain>/<project>` of a VM that came from there. */
export const tenant = z
  .string()
  .regex(/^(?:[a-z0-9][a-z0-9.-]{0,252}\/)?[a-z0-9][a-z0-9._-]{0,62}$/)
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

/** A secret of another key manager, by its id there. */
export const secretId = z.uuid().brand<'SecretId'>();
export type SecretId = z.infer<typeof secretId>;

/**
 * A DEK at rest, under the tenant's KEK of `kekVersion`. With `secret` the DEK itself lies in another key manager, and `wrapped` is its
 * check value: whoever writes rows, or that key manager, cannot put another key in its place.
 */
export const wrappedDek = z
  .strictObject({ ...holding.unwrap().shape, kekVersion: z.int().min(1), wrapped: z.base64(), secret: secretId.optional() })
  .readonly();
export type WrappedDek = z.infer<typeof wrappedDek>;

const kekAad = (kek: { readonly tenant: string; readonly version: number }): Buffer =>
  transcript('carnet/at-rest/kek/v1', [kek.tenant, kek.version]);
const dekAad = (h: Holding, kekVersion: number): Buffer =>
  transcript('carnet/at-rest/dek/v1', [h.tenant, kekVersion, h.key, h.version, h.arrival]);
const secretAad = (h: Holding, kekVersion: number, secret: SecretId): Buffer =>
  transcript('carnet/at-rest/dek-in-secret/v1', [h.tenant, kekVersion, h.key, h.version, h.arrival, secret]);
const secretCheck = (dek: Uint8Array, h: Holding): Buffer =>
  hmac(dek, transcript('carnet/at-rest/dek-check/v1', [h.tenant, h.key, h.version, h.arrival]));

export function createKek(root: Root, kek: { readonly tenant: Tenant; readonly version: number }, random: Random): WrappedKek {
  using wipe = wiper();
  return { ...kek, wrapped: toBase64(root.seal(kekAad(kek), requireKey(wipe.keep(random(KEY_BYTES))), random)) };
}

export function openKek(root: Root, kek: WrappedKek, wipe: Wiper): VaultResult<Buffer> {
  const opened = root.open(kekAad(kek), fromBase64(kek.wrapped));
  return opened === undefined ? refuse('KEK_UNOPENABLE') : { ok: true, value: wipe.keep(opened) };
}

/** All KEK versions of one tenant. Old ones still open what they wrapped; only the newest wraps. */
export type TenantKeks = readonly WrappedKek[];

export function openKekVersion(root: Root, keks: TenantKeks, version: number, wipe: Wiper): VaultResult<Buffer> {
  const kek = keks.find((k) => k.version === version);
  return kek === undefined ? refuse('KEK_UNKNOWN') : openKek(root, kek, wipe);
}

export type OpenedKek = { readonly kek: WrappedKek; readonly bytes: Buffer };

export function newestKek(root: Root, keks: TenantKeks, wipe: Wiper): VaultResult<OpenedKek> {
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

const checkOf = (
  kek: Uint8Array,
  kekVersion: number,
  h: Holding,
  secret: SecretId,
  check: Uint8Array,
  random: Random,
): WrappedDek => ({
  tenant: h.tenant,
  key: h.key,
  version: h.version,
  arrival: h.arrival,
  kekVersion,
  wrapped: toBase64(sealRecord(kek, secretAad(h, kekVersion, secret), check, random)),
  secret,
});

type Keeping = { readonly random: Random; readonly wipe: Wiper; readonly origin?: Handover };

/** Puts a DEK where DEKs lie; without one a fresh key, 32 random bytes, never seen outside. */
export async function keepDek(
  { secrets }: Custody,
  { kek, bytes }: OpenedKek,
  h: Holding,
  dek: Buffer | undefined,
  how: Keeping,
): Promise<VaultResult<WrappedDek>> {
  const { random, wipe } = how;
  if (secrets === undefined)
    return { ok: true, value: wrapDek(bytes, kek.version, h, dek ?? wipe.keep(random(KEY_BYTES)), random) };
  const kept = await secrets.put(h, dek, how);
  if (!kept.ok) return refuse(kept.code, h.key);
  const check = secretCheck(requireKey(kept.value.dek), h);
  return { ok: true, value: checkOf(bytes, kek.version, h, kept.value.secret, check, random) };
}

/** The KEK that wraps a row, of the row's own tenant only. `keks` must hold its version. */
const kekOver = (root: Root, keks: TenantKeks, { tenant: of, kekVersion }: WrappedDek, wipe: Wiper): VaultResult<Buffer> =>
  openKekVersion(
    root,
    keks.filter((k) => k.tenant === of),
    kekVersion,
    wipe,
  );

/** Opens what the row holds: the DEK, or its check value. `kek`: see {@link kekOver}. */
function openRow(kek: VaultResult<Buffer>, dek: WrappedDek, wipe: Wiper): VaultResult<Buffer> {
  if (!kek.ok) return refuse(kek.code, dek.key);
  const aad = dek.secret === undefined ? dekAad(dek, dek.kekVersion) : secretAad(dek, dek.kekVersion, dek.secret);
  const bytes = openRecord(kek.value, aad, fromBase64(dek.wrapped));
  if (bytes === undefined || bytes.length !== KEY_BYTES) return refuse('KEY_UNOPENABLE', dek.key);
  return { ok: true, value: wipe.keep(bytes) };
}

export async function openDek(
  { root, secrets }: Custody,
  keks: TenantKeks,
  dek: WrappedDek,
  wipe: Wiper,
): Promise<VaultResult<Buffer>> {
  const row = openRow(kekOver(root, keks, dek, wipe), dek, wipe);
  if (!row.ok || dek.secret === undefined) return row;
  if (secrets === undefined) return refuse('BARBICAN_NOT_CONFIGURED', dek.key);
  const got = await secrets.get(dek.secret, wipe);
  if (!got.ok) return refuse(got.code, dek.key);
  return sameBytes(secretCheck(got.value, dek), row.value) ? got : refuse('KEY_UNOPENABLE', dek.key);
}

export async function createDek(
  custody: Custody,
  keks: TenantKeks,
  h: Holding,
  random: Random,
): Promise<VaultResult<WrappedDek>> {
  using wipe = wiper();
  const newest = newestKek(custody.root, keks, wipe);
  if (!newest.ok) return newest;
  return await keepDek(custody, newest.value, h, undefined, { random, wipe }); // awaited: the wiper must not run before the seal
}

/**
 * The same rows under the newest KEK; all or none. A DEK that lies elsewhere stays there, and is not fetched. `under`: what opens the rows,
 * where that is not among `keks`.
 */
export function rewrapDeks(
  root: Root,
  keks: TenantKeks,
  deks: readonly WrappedDek[],
  random: Random,
  under = keks,
): VaultResult<readonly WrappedDek[]> {
  using wipe = wiper();
  const newest = newestKek(root, keks, wipe);
  if (!newest.ok) return newest;
  const { kek, bytes } = newest.value;
  const rewrapped: WrappedDek[] = [];
  // Each KEK is opened once: in a token that is a request of its own.
  const opened = new Map<string, VaultResult<Buffer>>();
  for (const dek of deks) {
    const name = `${dek.tenant} ${dek.kekVersion}`;
    const over = opened.get(name) ?? kekOver(root, under, dek, wipe);
    opened.set(name, over);
    const row = openRow(over, dek, wipe);
    if (!row.ok) return row;
    rewrapped.push(
      dek.secret === undefined
        ? wrapDek(bytes, kek.version, dek, row.value, random)
        : checkOf(bytes, kek.version, dek, dek.secret, row.value, random),
    );
  }
  return { ok: true, value: rewrapped };
}
