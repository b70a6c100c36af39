import type { KeyObject } from 'node:crypto';

/**
 * What differs between Node and a browser. Both must agree on every input, or an auditor's browser and a broker could
 * disagree about one event (I3); `primitives.test.ts` holds them to it.
 */
export type Primitives = {
  readonly sha256: (...parts: readonly Uint8Array[]) => Uint8Array;
  /** RFC 4648 with padding. */
  readonly toBase64: (bytes: Uint8Array) => string;
  /** Only for text that matches `base64` of `@carnet/events`. */
  readonly fromBase64: (text: string) => Uint8Array;
  /** `undefined` unless the 32 bytes are a canonical point of the prime-order subgroup. */
  readonly ed25519Public: (raw: Uint8Array) => VerifySignature | undefined;
  /** From PKCS #8 DER (RFC 8410), or a KeyObject in Node; `undefined` when it is no Ed25519 private key. */
  readonly ed25519Private: (key: Uint8Array | KeyObject) => Ed25519Private | undefined;
};

export type VerifySignature = (message: Uint8Array, signature: Uint8Array) => boolean;
export type Ed25519Private = { readonly publicKey: Uint8Array; readonly sign: (message: Uint8Array) => Uint8Array };
