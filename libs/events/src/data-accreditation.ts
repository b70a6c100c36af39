import { z } from 'zod';
import { ACCREDITED_CLAIMS_MAX, REVOKED_SERIALS_MAX } from './limits.ts';
import { timestamp, trustDomain } from './scalars.ts';
import { accreditorName, claimName, isSet, securityLevel } from './vm.ts';

const serial = z.string().regex(/^[A-Za-z0-9._-]{1,64}$/);

/** What an accreditor signs about a CSP, in DSSE with its Ed25519 key: it may do so months before, and be offline when it counts. */
export const accreditationStatement = z
  .strictObject({
    accredits: z.literal('csp'),
    issuer: accreditorName,
    subject: trustDomain,
    claims: z.array(claimName).min(1).max(ACCREDITED_CLAIMS_MAX).readonly().refine(isSet, 'expected sorted claims, each once'),
    /** The highest security level that the accreditor saw there. */
    level: securityLevel.optional(),
    serial,
    notBefore: timestamp,
    notAfter: timestamp,
  })
  .readonly();
export type AccreditationStatement = z.infer<typeof accreditationStatement>;

/** All that an accreditor ever revoked. A list with a lower number than one that was used before is an old one. */
export const accreditationRevocations = z
  .strictObject({
    revokes: z.literal('accreditations'),
    issuer: accreditorName,
    number: z.int().min(1),
    serials: z.array(serial).max(REVOKED_SERIALS_MAX).readonly().refine(isSet, 'expected sorted serials, each once'),
  })
  .readonly();
export type AccreditationRevocations = z.infer<typeof accreditationRevocations>;
