import { base64 } from '@carnet/events';
import { z } from 'zod';
import { digestOf, fromBase64, type Random, sha256, toBase64, transcript, type Wiper, wiper } from '../bytes.ts';
import { type EscrowTerms, escrowContext } from '../escrow/terms.ts';
import { KEY_BYTES } from '../limits.ts';
import type { Custody, Root } from './custody.ts';
import { newestKek, openDek, type TenantKeks, type WrappedDek, wrapDek } from './hierarchy.ts';
import { generateKeyPair } from './hpke.ts';
import { refuse, type VaultResult } from './refusal.ts';
import { combineShares, splitKey } from './shamir.ts';
import { blind, openShare, publishedShare, rawShare, sealedDigest, sealedShare, sealShare, verifyKeyOf } from './share.ts';
import { openRecord, sealRecord } from './wrap.ts';

/** An escrow as dealt. `package`: the DEK under the escrow's own random key, which is what was split; so shares are dealt anew without touching the DEK. */
export const dealt = z
  .strictObject({
    package: base64.max(256),
    shares: z.array(z.strictObject({ sealed: sealedShare, published: publishedShare }).readonly()).readonly(),
  })
  .readonly();
export type Dealt = z.infer<typeof dealt>;

const packageAad = (terms: EscrowTerms): Buffer => transcript('carnet/escrow/package/v1', [escrowContext(terms)]);

/** `sealingKeys`: public keys of the custodians in the order of their seats, base64. */
export type Dealing = {
  readonly terms: EscrowTerms;
  readonly sealingKeys: readonly string[];
  readonly keks: TenantKeks;
  readonly dek: WrappedDek;
};

export async function dealEscrow(
  custody: Custody,
  { terms, sealingKeys, keks, dek }: Dealing,
  random: Random,
): Promise<VaultResult<Dealt>> {
  using wipe = wiper();
  const opened = await openDek(custody, keks, dek, wipe);
  if (!opened.ok) return opened;
  const escrowKey = wipe.keep(random(KEY_BYTES));
  const sealedKey = toBase64(sealRecord(escrowKey, packageAad(terms), opened.value, random));
  const { threshold, seats } = terms;
  const shares: Dealt['shares'][number][] = [];
  for (const [i, share] of (await splitKey(escrowKey, { threshold, shares: seats.length })).entries()) {
    const publicKey = fromBase64(sealingKeys[i] ?? '');
    const seat = seats[i];
    const blinded = wipe.keep(blind(wipe.keep(share), random));
    const bound = { terms, index: i + 1 };
    const isOwn = seat !== undefined && digestOf(publicKey) === seat.sealingKey;
    const sealed = isOwn ? await sealShare(publicKey, bound, blinded) : undefined;
    if (sealed === undefined) return refuse('SEALING_KEY_INVALID', seat?.custodian);
    shares.push({ sealed, published: { sealed: sealedDigest(sealed), verify: verifyKeyOf(bound, blinded, wipe) } });
  }
  return { ok: true, value: { package: sealedKey, shares } };
}

/** The private key of one recovery at rest: under the root itself, since a rotation of KEKs must not end a recovery. Bound to the request. */
export const recoveryKey = base64.max(256);
export type RecoveryKey = z.infer<typeof recoveryKey>;

const recoveryAad = (recovery: string, publicKey: string): Buffer =>
  transcript('carnet/at-rest/recovery-key/v1', [recovery, sha256(fromBase64(publicKey))]);

export async function createRecoveryKey(
  { root }: Pick<Custody, 'root'>,
  { recovery }: { readonly recovery: string },
  random: Random,
): Promise<VaultResult<{ readonly publicKey: string; readonly privateKey: RecoveryKey }>> {
  using wipe = wiper();
  const { publicKey, privateKey } = await generateKeyPair();
  const wrapped = root.seal(recoveryAad(recovery, publicKey), wipe.keep(privateKey), random);
  return { ok: true, value: { publicKey, privateKey: toBase64(wrapped) } };
}

/** What the shares of one recovery are opened with. `request`: digest of the signed request. */
export type Recovering = {
  readonly terms: EscrowTerms;
  readonly recovery: string;
  readonly request: string;
  readonly publicKey: string;
  readonly keks: TenantKeks;
  readonly privateKey: RecoveryKey;
};
export const givenShare = z.strictObject({ index: z.int().min(1), sealed: sealedShare, published: publishedShare }).readonly();
export type GivenShare = z.infer<typeof givenShare>;

function openRecoveryKey(root: Root, r: Recovering, wipe: Wiper): VaultResult<Buffer> {
  const seed = root.open(recoveryAad(r.recovery, r.publicKey), fromBase64(r.privateKey));
  return seed === undefined ? refuse('RECOVERY_KEY_UNOPENABLE') : { ok: true, value: wipe.keep(seed) };
}

async function openGiven(
  root: Root,
  r: Recovering,
  shares: readonly GivenShare[],
  wipe: Wiper,
): Promise<VaultResult<readonly Buffer[]>> {
  const seed = openRecoveryKey(root, r, wipe);
  if (!seed.ok) return seed;
  const opened: Buffer[] = [];
  for (const { index, sealed, published } of shares) {
    const share = await openShare(seed.value, { terms: r.terms, index, request: r.request }, sealed, published, wipe);
    if (!share.ok) return share;
    opened.push(share.value);
  }
  return { ok: true, value: opened };
}

/** Whether a share that a custodian gave is the one that was dealt to him. Below M of them nobody learns anything. */
export async function checkGivenShare(
  { root }: Pick<Custody, 'root'>,
  { share, ...r }: Recovering & { readonly share: GivenShare },
): Promise<VaultResult<null>> {
  using wipe = wiper();
  const opened = await openGiven(root, r, [share], wipe);
  return opened.ok ? { ok: true, value: null } : opened;
}

/** The DEK out of M shares, under the tenant's newest KEK: it lies in our own row, wherever it lay before. */
export async function recoverDek(
  { root }: Pick<Custody, 'root'>,
  r: Recovering & { readonly package: string; readonly shares: readonly GivenShare[] },
  random: Random,
): Promise<VaultResult<WrappedDek>> {
  using wipe = wiper();
  const { terms, shares } = r;
  const repeated = shares.find(({ index }, i) => shares.findIndex((other) => other.index === index) !== i);
  if (repeated !== undefined) return refuse('SHARE_REPEATED', terms.seats[repeated.index - 1]?.custodian);
  if (shares.length < terms.threshold) return refuse('APPROVALS_MISSING');
  const opened = await openGiven(root, r, shares, wipe);
  if (!opened.ok) return opened;
  const escrowKey = wipe.keep(await combineShares(opened.value.map(rawShare)));
  const dek = openRecord(escrowKey, packageAad(terms), fromBase64(r.package));
  if (dek === undefined) return refuse('ESCROW_PACKAGE_UNOPENABLE', terms.key);
  const newest = newestKek(root, r.keks, wipe);
  if (!newest.ok) return newest;
  const { kek, bytes } = newest.value;
  return { ok: true, value: wrapDek(bytes, kek.version, terms, wipe.keep(dek), random) };
}
