import { AEAD_AES_256_GCM, CipherSuite, KDF_HKDF_SHA256, KEM_MLKEM768_X25519 } from 'hpke';
import { toBase64 } from '../bytes.ts';
import { HASH_BYTES, KEM_ENC_BYTES, KEM_PRIVATE_KEY_BYTES, KEM_PUBLIC_KEY_BYTES } from '../limits.ts';

/** HPKE suite (RFC 9180, section 7): KEM X25519 + ML-KEM-768, HKDF-SHA-256, AES-256-GCM. Bound into every context. */
export const SUITE = '647a-0001-0002';

/**
 * The one place that knows the KEM. `hpke` runs it on Node's own OpenSSL (constant time, 1 ms an operation). Base mode is the only mode
 * it offers to us: the post-quantum KEMs cannot authenticate a sender, so origin comes from the signed event around the ciphertext.
 */
const suite = () => new CipherSuite(KEM_MLKEM768_X25519, KDF_HKDF_SHA256, AEAD_AES_256_GCM);

export type Sealed = { readonly enc: Buffer; readonly ct: Buffer; readonly exported: Buffer };
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
  if (to.publicKey.length !== KEM_PUBLIC_KEY_BYTES) return undefined;
  try {
    const hpke = suite();
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
  by: {
    readonly privateKey: Uint8Array;
    readonly info: Uint8Array;
    readonly aad: Uint8Array;
    readonly exporterContext: Uint8Array;
  },
  sealed: { readonly enc: Uint8Array; readonly ct: Uint8Array },
): Promise<Opened | undefined> {
  if (by.privateKey.length !== KEM_PRIVATE_KEY_BYTES || sealed.enc.length !== KEM_ENC_BYTES) return undefined;
  try {
    const hpke = suite();
    const privateKey = await hpke.DeserializePrivateKey(by.privateKey);
    const ctx = await hpke.SetupRecipient(privateKey, sealed.enc, { info: by.info });
    const plaintext = await ctx.Open(sealed.ct, by.aad);
    const exported = await ctx.Export(by.exporterContext, HASH_BYTES);
    return { plaintext: view(plaintext), exported: view(exported) };
  } catch {
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
