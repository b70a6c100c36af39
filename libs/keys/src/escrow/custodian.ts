import { type SpiffeId, spiffeId } from '@carnet/events';
import { z } from 'zod';
import { fromBase64, type Random, toBase64, transcript, wiper } from '../bytes.ts';
import { hostKeyText } from '../context.ts';
import { SCRYPT_BLOCK_SIZE, SCRYPT_COST, SCRYPT_PARALLELIZATION, SCRYPT_SALT_BYTES } from '../limits.ts';
import { fromVault, refusal } from '../refusal.ts';
import { ok, type Result } from '../result.ts';
import { generateKeyPair } from '../vault/hpke.ts';
import { scryptParameters, stretch } from '../vault/root.ts';
import { type Challenge, openShare, proveShare, type SealedShare, sealedDigest, sealShare } from '../vault/share.ts';
import { openRecord, sealRecord } from '../vault/wrap.ts';
import type { Manifest } from './statements.ts';

/** A custodian's sealing key as it lies in his own file (JSON): the KEM's seed under his passphrase (scrypt, AES-256-GCM). */
export const custodianFile = z
  .strictObject({
    format: z.literal('carnet-custodian-key-v1'),
    custodian: spiffeId,
    publicKey: hostKeyText,
    scrypt: scryptParameters,
    sealed: z.base64().max(128),
  })
  .readonly();
export type CustodianFile = z.infer<typeof custodianFile>;

const fileAad = ({ custodian, publicKey, scrypt: s }: Omit<CustodianFile, 'sealed' | 'format'>): Buffer =>
  transcript('carnet/at-rest/custodian-key/v1', [
    custodian,
    fromBase64(publicKey),
    s.cost,
    s.blockSize,
    s.parallelization,
    fromBase64(s.salt),
  ]);

/** On the custodian's own machine. `cost`: scrypt's N, for tests. */
export async function createCustodianFile(
  custodian: SpiffeId,
  passphrase: Uint8Array,
  random: Random,
  cost = SCRYPT_COST,
): Promise<CustodianFile> {
  using wipe = wiper();
  const pair = await generateKeyPair();
  const seed = wipe.keep(pair.privateKey);
  const scrypt = {
    cost,
    blockSize: SCRYPT_BLOCK_SIZE,
    parallelization: SCRYPT_PARALLELIZATION,
    salt: toBase64(random(SCRYPT_SALT_BYTES)),
  } as const;
  const open = { custodian, publicKey: pair.publicKey, scrypt };
  const key = wipe.keep(await stretch(passphrase, scrypt));
  return { format: 'carnet-custodian-key-v1', ...open, sealed: toBase64(sealRecord(key, fileAad(open), seed, random)) };
}

/** Where a custodian's share lies, and what opens it. `sealed`: as kept by the broker, believed for nothing. */
export type Own = {
  readonly file: CustodianFile;
  readonly passphrase: Uint8Array;
  readonly manifest: Manifest;
  readonly sealed: SealedShare;
};

/** Proves that the share opens, without showing it: nothing but a signature leaves. Base64. */
export const proveOwnShare = (own: Own, challenge: Challenge): Promise<Result<string>> =>
  withOwnShare(own, async ({ bound, blinded, wipe }) => ok(proveShare(bound, blinded, challenge, wipe)));

/** The share again, sealed to the key of one request: whoever cannot open that key learns nothing. `request`: its digest. */
export const giveOwnShare = (
  own: Own,
  to: { readonly publicKey: string; readonly request: string },
): Promise<Result<SealedShare>> =>
  withOwnShare(own, async ({ bound, blinded }) => {
    const sealed = await sealShare(fromBase64(to.publicKey), { ...bound, request: to.request }, blinded);
    return sealed === undefined ? refusal('PUBLIC_KEY_INVALID') : ok(sealed);
  });

type Opened = {
  readonly bound: { readonly terms: Manifest['terms']; readonly index: number };
  readonly blinded: Buffer;
  readonly wipe: ReturnType<typeof wiper>;
};

async function withOwnShare<T>(
  { file, passphrase, manifest, sealed }: Own,
  use: (opened: Opened) => Promise<Result<T>>,
): Promise<Result<T>> {
  using wipe = wiper();
  const { terms, shares } = manifest;
  const seat = terms.seats.findIndex(({ custodian }) => custodian === file.custodian);
  const published = shares[seat];
  if (published === undefined) return refusal('CUSTODIAN_UNKNOWN', { about: file.custodian });
  if (sealedDigest(sealed) !== published.sealed) return refusal('SHARE_DIGEST_DIFFERS', { about: file.custodian });
  const key = wipe.keep(await stretch(passphrase, file.scrypt));
  const seed = openRecord(key, fileAad(file), fromBase64(file.sealed));
  if (seed === undefined) return refusal('CUSTODIAN_FILE_INVALID');
  const bound = { terms, index: seat + 1 };
  const opened = await openShare(wipe.keep(seed), bound, sealed, published, wipe);
  return opened.ok ? await use({ bound, blinded: opened.value, wipe }) : fromVault(opened);
}
