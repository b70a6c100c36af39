import type { KeyObject } from 'node:crypto';
import type { Digest } from '@carnet/events';
import { ed25519Private, ed25519Public } from '#primitives';
import { sha256Hex } from './bytes.ts';
import { TrustError } from './error.ts';
import type { VerifySignature } from './primitives.ts';

/** Signs the PAE of an envelope. `keyid`: SHA-256 of the raw Ed25519 public key, or of the DER of an X.509 leaf. */
export type Signer = { readonly keyid: Digest; sign(pae: Uint8Array): Uint8Array };
export type Verifier = { verify(pae: Uint8Array, signature: Uint8Array): boolean };

/** The key id of an event key: SHA-256 of its 32 raw bytes. */
export const ed25519KeyId = (raw32: Uint8Array): Digest => sha256Hex(raw32);

/**
 * The event key's signer. In a browser only PKCS #8 DER is understood.
 * @throws TrustError KEY_INVALID
 */
export function ed25519Signer(privateKey: Uint8Array | KeyObject): Signer & { readonly publicKey: Uint8Array } {
  const key = ed25519Private(privateKey);
  if (key === undefined) throw new TrustError('KEY_INVALID', 'expected an Ed25519 private key in PKCS #8');
  return { keyid: ed25519KeyId(key.publicKey), publicKey: key.publicKey, sign: key.sign };
}

/** A verifier of one raw public key, or `undefined` when hostile bytes are no sound key (wrong length, small order, torsion). */
export function readEd25519Key(raw32: Uint8Array): Verifier | undefined {
  const verify: VerifySignature | undefined = ed25519Public(raw32);
  return verify === undefined ? undefined : { verify };
}

/**
 * A verifier of a key that we chose ourselves.
 * @throws TrustError KEY_INVALID
 */
export function ed25519Verifier(raw32: Uint8Array): Verifier {
  const verifier = readEd25519Key(raw32);
  if (verifier === undefined) throw new TrustError('KEY_INVALID', 'expected the 32 bytes of an Ed25519 public key');
  return verifier;
}
