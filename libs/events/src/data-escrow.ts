import { z } from 'zod';
import { ESCROW_CUSTODIANS_MAX } from './limits.ts';
import { base64, digest, keyId, spiffeId, timestamp, uuidV7 } from './scalars.ts';

/** One splitting of one key among some custodians. Dealt anew, it is another escrow. */
export const escrowId = uuidV7.brand<'EscrowId'>();
export type EscrowId = z.infer<typeof escrowId>;
/** One request to recover a key from an escrow. */
export const recoveryId = uuidV7.brand<'RecoveryId'>();
export type RecoveryId = z.infer<typeof recoveryId>;
/** One drill of an escrow. */
export const drillId = uuidV7.brand<'DrillId'>();
export type DrillId = z.infer<typeof drillId>;

const custodians = z.array(spiffeId).max(ESCROW_CUSTODIANS_MAX).readonly();
/** Of the signed statement in the publisher's own records, where the reasons are: peers witness that it was made, and when. */
const statement = digest;

/** `verify`: Ed25519 key that follows from the share and commits to it. `sealed`: SHA-256 of the share as sealed to the custodian. */
export const keyEscrowed = z
  .strictObject({
    escrow: escrowId,
    key: keyId,
    version: z.int().min(1),
    threshold: z.int().min(2),
    shares: z
      .array(z.strictObject({ custodian: spiffeId, sealed: digest, verify: base64.length(44) }).readonly())
      .min(2)
      .max(ESCROW_CUSTODIANS_MAX)
      .readonly(),
    statement,
  })
  .readonly();

/** Who proved that the share opens, and who did not. */
export const escrowDrilled = z
  .strictObject({ escrow: escrowId, drill: drillId, proven: custodians, failed: custodians, statement })
  .readonly();

export const recoveryRequested = z
  .strictObject({ escrow: escrowId, recovery: recoveryId, asker: spiffeId, notAfter: timestamp, statement })
  .readonly();

export const recoveryApproved = z
  .strictObject({ escrow: escrowId, recovery: recoveryId, custodian: spiffeId, statement })
  .readonly();

/** The key is in the publisher's key manager again. It replaces no release: only who holds the VM recovers. */
export const keyRecovered = z
  .strictObject({
    escrow: escrowId,
    recovery: recoveryId,
    key: keyId,
    version: z.int().min(1),
    approvals: z.array(digest).min(2).max(ESCROW_CUSTODIANS_MAX).readonly(),
    statement,
  })
  .readonly();
