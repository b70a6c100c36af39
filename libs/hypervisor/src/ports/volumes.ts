import type { StepProgress } from '../command/report.ts';
import type { Outcome } from '../outcome.ts';

export type EncryptRaw = {
  readonly from: string;
  /** A path where nothing is yet; what a failure leaves there is the caller's to remove. */
  readonly to: string;
  readonly passphrase: Uint8Array;
  /** What the copy may take at most (NO_ROOM). Holes take nothing. */
  readonly roomBytes: number;
  readonly onProgress: (progress: StepProgress) => void;
  readonly signal: AbortSignal;
};

/** LUKS volumes in qcow2. Passphrases are the lowercase hex of a 32-byte DEK, and reach no argv, environment or disk. */
export type Volumes = {
  /**
   * Makes an encrypted volume of a plain raw disk. Raw has no header, so nothing hostile is parsed; only a regular file is read
   * (IMPORT_REFUSED, IMPORT_MISSING), of whole sectors and within bounds (IMPORT_SIZE): judged by what was opened, not by name.
   */
  encryptRaw(request: EncryptRaw): Promise<Outcome<void>>;
  createBlank(path: string, capacityBytes: number, passphrase: Uint8Array): Promise<void>;
  /** Copies a guarded image into an existing blank volume of at least its capacity, from one key to the other. */
  copyInto(
    from: { readonly path: string; readonly passphrase: Uint8Array },
    to: { readonly path: string; readonly passphrase: Uint8Array },
    more: { readonly signal: AbortSignal; readonly onProgress?: (progress: StepProgress) => void; readonly totalBytes?: number },
  ): Promise<Outcome<void>>;
  /** Lets a second passphrase open a volume: into a key slot that is not in use. LUKS_DOES_NOT_OPEN when `have` is none. */
  addKey(path: string, have: Uint8Array, add: Uint8Array, slot: number): Promise<Outcome<void>>;
  /** Erases one key slot that is in use; `keep` opens another one, so that never the last one goes. */
  eraseSlot(path: string, keep: Uint8Array, slot: number): Promise<Outcome<void>>;
  /** Opens read-only and reads a sector; a wrong key is LUKS_DOES_NOT_OPEN. */
  unlock(path: string, passphrase: Uint8Array): Promise<Outcome<void>>;
};
