import type { HpkeKem } from '@carnet/events';
import {
  AEAD_AES_256_GCM,
  CipherSuite,
  KDF_HKDF_SHA256,
  KEM_DHKEM_P256_HKDF_SHA256,
  KEM_MLKEM768_X25519,
  type KEMFactory,
  type Key,
} from 'hpke';
import { toBase64 } from '../bytes.ts';
import { HASH_BYTES, KEM_ENC_BYTES, KEM_PRIVATE_KEY_BYTES, KEM_PUBLIC_KEY_BYTES, P256_POINT_BYTES } from '../limits.ts';
import { KeysError } from '../result.ts';
import { type Agree, KEY_IN_TOKEN, tokenKem } from './token-kem.ts';

/** What agents' keys and, in profile `hybrid`, migration keys are of: X25519 + ML-KEM-768. */
export const HYBRID: HpkeKem = '0x647a';
/** Profile `hsm`: DHKEM(P-256), for a private key inside a token. Not safe against quantum computers. */
export const HSM: HpkeKem = '0x0010';

/** HPKE suites (RFC 9180, section 7): a KEM, HKDF-SHA-256, AES-256-GCM. Bound into every context. */
const SUITES: Readonly<Record<HpkeKem, string>> = { '0x647a': '647a-0001-0002', '0x0010': '0010-0001-0002' };
export const SUITE = SUITES[HYBRID];

/** Public keys of the two are told apart by their length; no other has either. */
export function kemOf(publicKey: Uint8Array): HpkeKem | undefined {
  if (publicKey.length === KEM_PUBLIC_KEY_BYTES) return HYBRID;
  return publicKey.length === P256_POINT_BYTES ? HSM : undefined;
}
/** The suite in which is sealed to this public key. */
export const suiteOf = (publicKey: Uint8Array): string => SUITES[kemOf(publicKey) ?? HYBRID];

/**
 * The one place that knows the KEM. `hpke` runs it on Node's own OpenSSL (constant time, 1 ms an operation). Base mode is the only mode
 * it offers to us: the post-quantum KEMs cannot authenticate a sender, so origin comes from the signed event around the ciphertext.
 */
const suite = (kem: KEMFactory = KEM_MLKEM768_X25519) => new CipherSuite(kem, KDF_HKDF_SHA256, AEAD_AES_256_GCM);

export type Sealed = { readonly enc: Buffer; readonly ct: Buffer; readonly exported: Buffer };
/** What a message is bound to. */
export type Bound = { readonly info: Uint8Array; readonly aad: Uint8Array; readonly exporterContext: Uint8Array };
type SealedBytes = { readonly enc: Uint8Array; readonly ct: Uint8Array };
export type Opened = { readonly plaintext: Buffer; readonly exported: Buffer };

/** One message to `publicKey`, and 32 bytes that only both ends can export under `exporterContext`. `undefined`: no such public key. */
export async function sealBase(
  to: {
    readonly publicKey: Uint8Array;
    readonly info: Uint8Array;
    readonly aad: Uint8Array;
    readonly exporterContext: Uint8Array;
  },
  plaintext: Uint8Array,
): Promise<Sealed | undefined> {
  const kem = kemOf(to.publicKey);
  if (kem === undefined) return undefined;
  try {
    const hpke = suite(kem === HSM ? KEM_DHKEM_P256_HKDF_SHA256 : KEM_MLKEM768_X25519);
    const publicKey = await hpke.DeserializePublicKey(to.publicKey);
    const { encapsulatedSecret, ctx } = await hpke.SetupSender(publicKey, { info: to.info });
    const ct = await ctx.Seal(plaintext, to.aad);
    const exported = await ctx.Export(to.exporterContext, HASH_BYTES);
    return { enc: Buffer.from(encapsulatedSecret), ct: Buffer.from(ct), exported: Buffer.from(exported) };
  } catch {
    return undefined; // a point or module element that the KEM refuses; the library's text may quote it
  }
}

/** `undefined` when it does not open: another key, info, aad, or changed bytes. HPKE does not say which, on purpose. */
export async function openBase(
  by: Bound & { readonly privateKey: Uint8Array },
  sealed: SealedBytes,
): Promise<Opened | undefined> {
  if (by.privateKey.length !== KEM_PRIVATE_KEY_BYTES || sealed.enc.length !== KEM_ENC_BYTES) return undefined;
  const hpke = suite();
  return opened(hpke, () => hpke.DeserializePrivateKey(by.privateKey), by, sealed);
}

/** As {@link openBase}, for a private key of KEM 0x0010 inside a token, which does the Diffie-Hellman. */
export async function openInToken(
  by: Bound & { readonly publicKey: Uint8Array; readonly agree: Agree },
  sealed: SealedBytes,
): Promise<Opened | undefined> {
  if (kemOf(by.publicKey) !== HSM || sealed.enc.length !== P256_POINT_BYTES) return undefined;
  return opened(suite(tokenKem(by.publicKey, by.agree)), async () => KEY_IN_TOKEN, by, sealed);
}

async function opened(
  hpke: CipherSuite,
  privateKey: () => Promise<Key>,
  by: Bound,
  sealed: SealedBytes,
): Promise<Opened | undefined> {
  try {
    const ctx = await hpke.SetupRecipient(await privateKey(), sealed.enc, { info: by.info });
    const plaintext = await ctx.Open(sealed.ct, by.aad);
    const exported = await ctx.Export(by.exporterContext, HASH_BYTES);
    return { plaintext: view(plaintext), exported: view(exported) };
  } catch (error) {
    // The token failed: nothing is known of the message.
    if (error instanceof Error && error.cause instanceof KeysError) throw error.cause;
    return undefined;
  }
}

/** `publicKey` is 1,216 bytes in base64, `privateKey` the 32-byte seed. */
export async function generateKeyPair(): Promise<{ readonly publicKey: string; readonly privateKey: Buffer }> {
  const hpke = suite();
  const pair = await hpke.GenerateKeyPair(true);
  const [publicKey, privateKey] = await Promise.all([
    hpke.SerializePublicKey(pair.publicKey),
    hpke.SerializePrivateKey(pair.privateKey),
  ]);
  return { publicKey: toBase64(publicKey), privateKey: view(privateKey) };
}

/** The library's own buffer, so that zeroing it zeroes the only copy we know of. */
const view = (bytes: Uint8Array): Buffer => Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
