import { z } from 'zod';
import { dsseEnvelope } from './dsse.ts';
import { PRINCIPAL_CHARS_MAX } from './limits.ts';
import { rekeyMethod } from './rekey.ts';
import { digest, migrationId, text, timestamp, trustDomain, vmId } from './scalars.ts';
import { migrationMode } from './vm.ts';

/**
 * What a scheduler or operator asks of its own broker. `migration` is chosen by the asker and makes the request
 * idempotent: the same id with the same content is the same request.
 */
export const intentRequest = z
  .strictObject({
    migration: migrationId,
    vm: vmId,
    target: trustDomain,
    mode: migrationMode,
    /** The least that the target must do to the volumes on arrival; absent: what both CSPs' policies ask. */
    rekey: rekeyMethod.optional(),
    /** The owner's own signature over a `ConsentStatement`: policies of both CSPs judge it. */
    consent: dsseEnvelope.optional(),
    /** After this no offer may be accepted any more. */
    notAfter: timestamp.optional(),
    reason: text.optional(),
  })
  .readonly();
export type IntentRequest = z.infer<typeof intentRequest>;

/** Never empty: policies and people name it. */
const principal = z.string().min(1).max(PRINCIPAL_CHARS_MAX);

/** Who asked and how the broker knows. `signature` embeds the asker's own DSSE envelope: the peer and the auditor can check it. */
export const requestRecord = z.discriminatedUnion('via', [
  z
    .strictObject({
      via: z.literal('signature'),
      principal,
      envelope: dsseEnvelope,
      certificate: z.string().max(8_192),
    })
    .readonly(),
  z.strictObject({ via: z.literal('mtls'), principal, digest }).readonly(),
  z
    .strictObject({
      via: z.literal('token'),
      principal,
      digest,
      /** What the credential was good for, of the roles that the policy set gives to its principal; absent: all. */
      roles: z
        .array(z.string().regex(/^[a-z]{1,32}$/))
        .max(8)
        .readonly()
        .optional(),
    })
    .readonly(),
]);
export type RequestRecord = z.infer<typeof requestRecord>;
