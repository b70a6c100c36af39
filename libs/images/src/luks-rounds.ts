import { LUKS_ROUNDS_MAX } from './limits.ts';
import { ImageError } from './outcome.ts';

export type LuksHash = 'sha256' | 'sha512';
const HASH_BYTES: Readonly<Record<LuksHash, number>> = { sha256: 32, sha512: 64 };

/** A key slot in use whose passphrase goes through PBKDF2. */
export interface StretchedSlot {
  readonly rounds: number;
  readonly hash: LuksHash;
  /** Of the key that is derived: each hash's length of it takes all the rounds again (RFC 8018, section 5.2). */
  readonly keyBytes: number;
}

/**
 * What one unlocking may cost. Its sum counts, not its parts: a hostile header fits the passphrase in its last slot, so that every slot
 * before it is derived in vain, and what each slot gives is put through the rounds of the digest. `slots`: all that are in use.
 */
export function demandRounds(stretched: readonly StretchedSlot[], slots: number, digestRounds: number): void {
  const ofSlots = stretched.map(({ rounds, hash, keyBytes }) => rounds * Math.ceil(keyBytes / HASH_BYTES[hash]));
  const total = ofSlots.reduce((sum, rounds) => sum + rounds, slots * digestRounds);
  if (total > LUKS_ROUNDS_MAX)
    throw new ImageError('LUKS_KDF', { expected: `at most ${LUKS_ROUNDS_MAX} rounds in all`, got: String(total) });
}
