import { z } from 'zod';
import { keyId, migrationId, timestamp } from './scalars.ts';

/** Key states of NIST SP 800-57 Part 1, section 7 ("destroyed-compromised" as in its revision 4 and in KMIP). */
export const keyState = z.enum([
  'pre-activation',
  'active',
  'suspended',
  'deactivated',
  'compromised',
  'destroyed',
  'destroyed-compromised',
]);
export type KeyState = z.infer<typeof keyState>;

/** Why a key's state was changed: KMIP's revocation reasons (2.1, section 11.48), as far as they concern disk keys. */
export const keyChangeReason = z.enum([
  'unspecified',
  'key-compromise',
  'superseded',
  'cessation-of-operation',
  'privilege-withdrawn',
]);
export type KeyChangeReason = z.infer<typeof keyChangeReason>;

/**
 * The publisher's operator changed the state of a key that `migration` handed over between publisher and audience. A notice: it changes
 * no state at the audience, whose own operators decide. What it means for other peers is told to each in its own ledger.
 */
export const keyStateChanged = z
  .strictObject({
    key: keyId,
    version: z.int().min(1),
    migration: migrationId,
    from: keyState,
    to: keyState,
    reason: keyChangeReason,
    at: timestamp,
  })
  .readonly();
