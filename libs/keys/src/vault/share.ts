import { base64, digest } from '@carnet/events';
import { ed25519Signer, readEd25519Key } from '@carnet/trust';
import { z } from 'zod';
import { digestOf, fromBase64, joinSecret, type Random, sameBytes, toBase64, transcript, type Wiper } from '../bytes.ts';
import { type EscrowTerms, escrowContext, type Seat } from '../escrow/terms.ts';
import { ESCROW_SALT_BYTES } from '../limits.ts';
import { openBase, sealBase } from './hpke.ts';
import { refuse, type VaultResult } from './refusal.ts';
import { SHARE_BYTES } from './shamir.ts';
import { deriveKey } from './wrap.ts';

/** A share under HPKE, to a custodian or to a recovering key manager. */
export const sealedShare = z.strictObject({ enc: base64.max(2_048), ct: base64.max(256) }).readonly();
export type SealedShare = z.infer<typeof sealedShare>;

/** What is published of each share. `sealed`: SHA-256 of its sealing. `verify`: Ed25519 public key that follows from the share. */
export const publishedShare = z.strictObject({ sealed: digest, verify: base64.length(44) }).readonly();
export type PublishedShare = z.infer<typeof publishedShare>;

/** A share in the clear, blinded: salt ‖ share. Whoever has it zeroes it. */
export const BLINDED_SHARE_BYTES = ESCROW_SALT_BYTES + SHARE_BYTES;
export const rawShare = (blinded: Uint8Array): Uint8Array => blinded.subarray(ESCROW_SALT_BYTES);
export const blind = (share: Uint8Array, random: Random): Buffer => joinSecret([random(ESCROW_SALT_BYTES), share]);

export const sealedDigest = ({ enc, ct }: SealedShare) =>
  digestOf(transcript('carnet/escrow/sealed-share/v1', [fromBase64(enc), fromBase64(ct)]));

/** `to`: custodian at dealing; `request`: digest of the request that a share is given for. */
type Bound = { readonly terms: EscrowTerms; readonly index: number; readonly request?: string };

const INFO = Buffer.from('carnet/escrow/share/v1');
/** Nothing is exported: a share is proven by its own key. */
const NO_EXPORT = Buffer.from('carnet/escrow/unused/v1');

const bindingOf = ({ terms, index, request }: Bound): Buffer =>
  transcript('carnet/escrow/share/v1', [
    escrowContext(terms),
    terms.seats.length,
    terms.threshold,
    index,
    terms.seats[index - 1]?.custodian ?? '',
    request ?? '',
  ]);

export async function sealShare(publicKey: Uint8Array, bound: Bound, blinded: Uint8Array): Promise<SealedShare | undefined> {
  const sealed = await sealBase({ publicKey, info: INFO, aad: bindingOf(bound), exporterContext: NO_EXPORT }, blinded);
  return sealed === undefined ? undefined : { enc: toBase64(sealed.enc), ct: toBase64(sealed.ct) };
}

/** Opens, and compares what came out with what was published of this share: a wrong one is named here, never found by its result. */
export async function openShare(
  privateKey: Uint8Array,
  bound: Bound,
  sealed: SealedShare,
  published: PublishedShare,
  wipe: Wiper,
): Promise<VaultResult<Buffer>> {
  const custodian = bound.terms.seats[bound.index - 1]?.custodian;
  const opened = await openBase(
    { privateKey, info: INFO, aad: bindingOf(bound), exporterContext: NO_EXPORT },
    { enc: fromBase64(sealed.enc), ct: fromBase64(sealed.ct) },
  );
  if (opened === undefined) return refuse('SHARE_UNOPENABLE', custodian);
  const blinded = wipe.keep(opened.plaintext);
  if (blinded.length !== BLINDED_SHARE_BYTES) return refuse('SHARE_DIFFERS', custodian);
  const verify = shareSigner(bound, blinded, wipe).publicKey;
  return sameBytes(verify, fromBase64(published.verify)) ? { ok: true, value: blinded } : refuse('SHARE_DIFFERS', custodian);
}

/**
 * A share's own signing key. Its public half commits to the share (published, it tells nothing of it) and lets anyone verify that a
 * custodian could open it on a given day, without the share being shown to anyone.
 */
function shareSigner({ terms, index }: Bound, blinded: Uint8Array, wipe: Wiper) {
  const salt = blinded.subarray(0, ESCROW_SALT_BYTES);
  const seed = deriveKey(rawShare(blinded), salt, transcript('carnet/escrow/share-key/v1', [escrowContext(terms), index]));
  return ed25519Signer(wipe.keep(joinSecret([PKCS8_ED25519, wipe.keep(seed)])));
}

/** RFC 8410, section 7: the seed follows. */
const PKCS8_ED25519 = Buffer.from('302e020100300506032b657004220420', 'hex');

export const verifyKeyOf = (bound: Bound, blinded: Uint8Array, wipe: Wiper): string =>
  toBase64(shareSigner(bound, blinded, wipe).publicKey);

/** What a drill asks of every custodian. */
export type Challenge = { readonly drill: string; readonly challenge: string };

const challengeBytes = ({ terms, index }: Bound, custodian: Seat['custodian'] | undefined, c: Challenge): Buffer =>
  transcript('carnet/escrow/drill/v1', [escrowContext(terms), index, custodian ?? '', c.drill, fromBase64(c.challenge)]);

/** Ed25519 by the share's key, base64. */
export const proveShare = (bound: Bound, blinded: Uint8Array, c: Challenge, wipe: Wiper): string =>
  toBase64(shareSigner(bound, blinded, wipe).sign(challengeBytes(bound, bound.terms.seats[bound.index - 1]?.custodian, c)));

export function isProof(bound: Bound, published: PublishedShare, c: Challenge, proof: string): boolean {
  const said = challengeBytes(bound, bound.terms.seats[bound.index - 1]?.custodian, c);
  return readEd25519Key(fromBase64(published.verify))?.verify(said, fromBase64(proof)) ?? false;
}
