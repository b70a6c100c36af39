import type { Outcome } from '../outcome.ts';

/** LUKS volumes in qcow2. Passphrases are the lowercase hex of a 32-byte DEK, and reach no argv, environment or disk. */
export type Volumes = {
  createBlank(path: string, capacityBytes: number, passphrase: Uint8Array): Promise<void>;
  /** Copies a guarded image into an existing blank volume of at least its capacity, from one key to the other. */
  copyInto(
    from: { readonly path: string; readonly passphrase: Uint8Array },
    to: { readonly path: string; readonly passphrase: Uint8Array },
    signal: AbortSignal,
  ): Promise<Outcome<void>>;
  /** Opens read-only and reads a sector; a wrong key is LUKS_DOES_NOT_OPEN. */
  unlock(path: string, passphrase: Uint8Array): Promise<Outcome<void>>;
};
