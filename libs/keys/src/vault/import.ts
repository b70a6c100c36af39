import { type DepositedKey, type Digest, digest, type HpkeKem } from '@carnet/events';
import { fromBase64, type Random, sameBytes, sha256, toBase64, transcript, type Wiper, wiper } from '../bytes.ts';
import { boundKeyOf, depositContext, type Handover, keyContext, releaseAad } from '../context.ts';
import { HASH_BYTES, KEY_BYTES } from '../limits.ts';
import type { Custody, Root } from './custody.ts';
import {
  ACKNOWLEDGEMENT_EXPORT,
  acknowledgementMac,
  checkValueOf,
  commitOf,
  DEK_INFO,
  KREL_INFO,
  type ReleaseRefs,
  UNUSED_EXPORT,
  wrappingKeyOf,
} from './deposit.ts';
import { keepDek, newestKek, openKekVersion, type Tenant, type TenantKeks, type WrappedDek } from './hierarchy.ts';
import { type Bound, generateKeyPair, HSM, kemOf, type Opened, openBase, openInToken } from './hpke.ts';
import { refuse, type VaultResult } from './refusal.ts';
import { keyUnwrap, openRecord, sealRecord } from './wrap.ts';

/**
 * The target's private key at rest, under the tenant's KEK, bound to its migration and public key: the KEM's seed; in profile `hsm` the id of
 * the key in the token, so that no row can be made to use another row's key.
 */
export type MigrationKey = { readonly kekVersion: number; readonly wrapped: string };
export type Attempt = { readonly migration: string; readonly epoch: number };

export const migrationKeyAad = (tenant: string, kekVersion: number, attempt: Attempt, publicKey: string): Buffer =>
  transcript('carnet/at-rest/migration-key/v1', [
    tenant,
    kekVersion,
    attempt.migration,
    attempt.epoch,
    sha256(fromBase64(publicKey)),
  ]);

export async function createMigrationKey(
  { root }: Custody,
  input: {
    readonly tenant: Tenant;
    readonly keks: TenantKeks;
    readonly attempt: Attempt;
    readonly kem: HpkeKem;
    readonly at: string;
  },
  random: Random,
): Promise<VaultResult<{ readonly publicKey: string; readonly privateKey: MigrationKey }>> {
  using wipe = wiper();
  const newest = newestKek(root, input.keks, wipe);
  if (!newest.ok) return newest;
  const { kek, bytes } = newest.value;
  const pair = input.kem === HSM ? inToken(root, input.at) : await generateKeyPair();
  if (pair === undefined) return refuse('PROFILE_NEEDS_TOKEN');
  const seed = wipe.keep(pair.privateKey);
  const aad = migrationKeyAad(input.tenant, kek.version, input.attempt, pair.publicKey);
  const wrapped = toBase64(sealRecord(bytes, aad, seed, random));
  return { ok: true, value: { publicKey: pair.publicKey, privateKey: { kekVersion: kek.version, wrapped } } };
}

/** A key pair whose private half is an id. Undefined: the root is not in a token. */
function inToken({ agreement }: Root, at: string): { readonly publicKey: string; readonly privateKey: Buffer } | undefined {
  if (agreement === undefined) return undefined;
  const point = agreement.generate(at);
  return { publicKey: toBase64(point), privateKey: sha256(point) };
}

/** Keys in the token that no import needs any more. One that is younger than `madeBefore` may be about to be recorded. */
export function destroyMigrationKeys(
  { root: { agreement } }: Custody,
  {
    needed,
    ended,
    madeBefore,
  }: { readonly needed: readonly Digest[]; readonly ended: readonly Digest[]; readonly madeBefore: string },
): VaultResult<number> {
  if (agreement === undefined) return { ok: true, value: 0 };
  const [keep, over] = [new Set<string>(needed), new Set<string>(ended)];
  const gone = agreement.list().filter(({ id, madeAt }) => {
    const name = id.toString('hex');
    return over.has(name) || (!keep.has(name) && madeAt < madeBefore);
  });
  for (const { id } of gone) agreement.destroy(id);
  return { ok: true, value: gone.length };
}

/** What B needs to open anything of a deposit. */
export type ReceivedDeposit = {
  readonly handover: Handover;
  readonly tenant: Tenant;
  readonly keks: TenantKeks;
  readonly privateKey: MigrationKey;
  readonly keys: readonly DepositedKey[];
};

/** Opens what was sealed to the migration's public key. */
type Open = (by: Bound, sealed: { readonly enc: Uint8Array; readonly ct: Uint8Array }) => Promise<Opened | undefined>;

function openMigrationKey(root: Root, received: ReceivedDeposit, wipe: Wiper): VaultResult<Open> {
  const { handover, tenant, privateKey } = received;
  const opened = openKekVersion(root, received.keks, privateKey.kekVersion, wipe);
  if (!opened.ok) return opened;
  const aad = migrationKeyAad(tenant, privateKey.kekVersion, handover, handover.publicKey);
  const seed = openRecord(opened.value, aad, fromBase64(privateKey.wrapped));
  if (seed === undefined) return refuse('MIGRATION_KEY_UNOPENABLE');
  const kept = wipe.keep(seed);
  const publicKey = fromBase64(handover.publicKey);
  if (kemOf(publicKey) !== HSM) return { ok: true, value: (by, sealed) => openBase({ privateKey: kept, ...by }, sealed) };
  const { agreement } = root;
  if (agreement?.has(kept) !== true) return refuse('MIGRATION_KEY_UNOPENABLE');
  return {
    ok: true,
    value: (by, sealed) => openInToken({ publicKey, agree: (point) => agreement.agree(kept, point), ...by }, sealed),
  };
}

/** Opens one deposited key as far as B can: to AES-256-KW(HKDF(Krel, key id), DEK), 40 bytes that only Krel opens. */
async function openDeposited(open: Open, handover: Handover, key: DepositedKey, wipe: Wiper) {
  const c = keyContext(handover, boundKeyOf(key));
  const by = { info: Buffer.concat([DEK_INFO, c]), aad: c, exporterContext: ACKNOWLEDGEMENT_EXPORT };
  const opened = await open(by, { enc: fromBase64(key.enc), ct: fromBase64(key.ct) });
  if (opened === undefined) return undefined;
  return { c, inner: wipe.keep(opened.plaintext), macKey: wipe.keep(opened.exported) };
}

/** Proof of possession for each key, in the deposit's order. */
export async function acknowledgeDeposit({ root }: Custody, received: ReceivedDeposit): Promise<VaultResult<readonly Digest[]>> {
  using wipe = wiper();
  const open = openMigrationKey(root, received, wipe);
  if (!open.ok) return open;
  const macs: Digest[] = [];
  for (const key of received.keys) {
    const opened = await openDeposited(open.value, received.handover, key, wipe);
    if (opened === undefined) return refuse('DEPOSIT_CONTEXT_MISMATCH', key.key);
    macs.push(digest.parse(acknowledgementMac(opened.macKey, opened.c).toString('hex')));
  }
  return { ok: true, value: macs };
}

/** Checks commit and every check value, then wraps each DEK under B's own KEK. All keys or none. */
export async function openRelease(
  custody: Custody,
  input: ReceivedDeposit & ReleaseRefs & { readonly commit: Digest; readonly enc: string; readonly ct: string },
  random: Random,
): Promise<VaultResult<readonly WrappedDek[]>> {
  using wipe = wiper();
  const { handover, tenant, keys } = input;
  const open = openMigrationKey(custody.root, input, wipe);
  if (!open.ok) return open;
  const c = depositContext(handover, keys.map(boundKeyOf));
  const by = {
    info: Buffer.concat([KREL_INFO, c]),
    aad: releaseAad(c, input.roots, input.acknowledged),
    exporterContext: UNUSED_EXPORT,
  };
  const release = await open.value(by, { enc: fromBase64(input.enc), ct: fromBase64(input.ct) });
  if (release === undefined) return refuse('RELEASE_CONTEXT_MISMATCH');
  wipe.keep(release.exported);
  const content = wipe.keep(release.plaintext);
  if (content.length !== KEY_BYTES + keys.length * HASH_BYTES) return refuse('RELEASE_INCOMPLETE');
  const krel = content.subarray(0, KEY_BYTES);
  if (commitOf(c, krel) !== input.commit) return refuse('COMMIT_MISMATCH');
  const newest = newestKek(custody.root, input.keks, wipe);
  if (!newest.ok) return newest;
  const plain: { readonly key: DepositedKey; readonly dek: Buffer }[] = [];
  for (const [i, key] of keys.entries()) {
    const opened = await openDeposited(open.value, handover, key, wipe);
    if (opened === undefined) return refuse('DEPOSIT_CONTEXT_MISMATCH', key.key);
    const dek = keyUnwrap(wipe.keep(wrappingKeyOf(krel, key.key)), opened.inner);
    if (dek === undefined) return refuse('KEY_UNWRAP_FAILED', key.key);
    const expected = content.subarray(KEY_BYTES + i * HASH_BYTES, KEY_BYTES + (i + 1) * HASH_BYTES);
    if (!sameBytes(checkValueOf(wipe.keep(dek), opened.c), expected)) return refuse('CHECK_VALUE_MISMATCH', key.key);
    plain.push({ key, dek });
  }
  const deks: WrappedDek[] = [];
  for (const { key, dek } of plain) {
    const holding = { tenant, key: key.key, version: key.version, arrival: handover.epoch };
    const kept = await keepDek(custody, newest.value, holding, dek, { random, wipe, origin: handover });
    if (!kept.ok) return kept;
    deks.push(kept.value);
  }
  return { ok: true, value: deks };
}
