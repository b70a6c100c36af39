import type { Random, Wiper } from '../bytes.ts';
import type { Handover } from '../context.ts';
import type { Holding, SecretId } from './hierarchy.ts';
import type { VaultResult } from './refusal.ts';
import { openRecord, sealRecord } from './wrap.ts';

/** What wraps tenant KEKs: a key in this process's memory, or one that never leaves its token. AES-256-GCM, nonce ‖ ciphertext ‖ tag. */
export type Root = {
  readonly seal: (aad: Uint8Array, plaintext: Uint8Array, random: Random) => Buffer;
  /** `undefined`: another root, or changed bytes. */
  readonly open: (aad: Uint8Array, sealed: Uint8Array) => Buffer | undefined;
  /** Where the root is in a token: other keys that stay there. */
  readonly agreement?: KeyAgreement;
};

/**
 * P-256 keys that never leave their token, for migrations of profile `hsm`. `id`: SHA-256 of the public key. What fails throws.
 */
export type KeyAgreement = {
  /** A fresh key that was made `at`; answers its public key, an uncompressed point. */
  readonly generate: (at: string) => Buffer;
  readonly has: (id: Uint8Array) => boolean;
  /** The shared x-coordinate, 32 bytes. */
  readonly agree: (id: Uint8Array, point: Buffer) => Buffer;
  readonly list: () => readonly { readonly id: Buffer; readonly madeAt: string }[];
  readonly destroy: (id: Uint8Array) => void;
};

/**
 * Another key manager that keeps DEKs for us. It is believed for nothing: the row holds a check value of the DEK under the tenant's KEK.
 * `origin`: the hand-over that brought the key.
 */
export type SecretStore = {
  /** Keeps `dek`; without one a fresh key. Asked again for the same holding it finds what is there, and adds nothing. */
  readonly put: (
    holding: Holding,
    dek: Buffer | undefined,
    how: { readonly origin?: Handover; readonly random: Random; readonly wipe: Wiper },
  ) => Promise<VaultResult<{ readonly secret: SecretId; readonly dek: Buffer }>>;
  readonly get: (secret: SecretId, wipe: Wiper) => Promise<VaultResult<Buffer>>;
};

/** All that opens keys, for one operation in the child. Without `secrets` DEKs lie wrapped in our own rows. */
export type Custody = { readonly root: Root; readonly secrets?: SecretStore };

export const keyRoot = (key: Uint8Array): Root => ({
  seal: (aad, plaintext, random) => sealRecord(key, aad, plaintext, random),
  open: (aad, sealed) => openRecord(key, aad, sealed),
});
