import { z } from 'zod';
import { destructionReceipt } from './data-handover.ts';
import { breakGlassDecision } from './data-policy.ts';
import { dsseEnvelope } from './dsse.ts';
import { signedEvidence } from './evidence.ts';
import { BREAK_GLASS_PERSONS_MAX, BREAK_GLASS_PERSONS_MIN, CERTIFICATE_BASE64_MAX } from './limits.ts';
import { reason } from './reason.ts';
import { base64, digest, epoch, migrationId, spiffeId, text, timestamp, trustDomain, vmId } from './scalars.ts';

/**
 * What one person signs about one release without an answer. `resume-at-source`: a person of the source (X.509 leaf) wants the VM to run
 * there again. `target-is-fenced`: its owner (Ed25519 key of the VM's restrictions) says that the target does not run it, and will not.
 * One payload, so that neither can be presented as the other.
 */
export const breakGlassStatement = z
  .strictObject({
    says: z.enum(['resume-at-source', 'target-is-fenced']),
    migration: migrationId,
    vm: vmId,
    epoch,
    /** Digest of `KeyReleased`: this attempt, these keys, this target, and no other. */
    release: digest,
    target: trustDomain,
    reason: text.min(1),
    at: timestamp,
    /** Spent after it: `BreakGlassResumed` is decided before, or not on this word. */
    notAfter: timestamp,
  })
  .readonly();
export type BreakGlassStatement = z.infer<typeof breakGlassStatement>;

/** A person's statement, and the leaf (DER, base64) that signed it. */
export const breakGlassPerson = z
  .strictObject({ principal: spiffeId, envelope: dsseEnvelope, certificate: base64.max(CERTIFICATE_BASE64_MAX) })
  .readonly();
export type BreakGlassPerson = z.infer<typeof breakGlassPerson>;

/** `opens`: the VM's epoch from now on, above that of the migration: whatever the target still says or does in the old one is late. */
export const breakGlassResumed = z
  .strictObject({
    release: digest,
    opens: epoch,
    persons: z.array(breakGlassPerson).min(BREAK_GLASS_PERSONS_MIN).max(BREAK_GLASS_PERSONS_MAX).readonly(),
    owner: dsseEnvelope,
    /** What the source's policies say of each of `persons`, in that order. Absent: of a version that did not ask them. */
    policy: z.array(breakGlassDecision).min(BREAK_GLASS_PERSONS_MIN).max(BREAK_GLASS_PERSONS_MAX).readonly().optional(),
  })
  .readonly();
export type BreakGlassResumed = z.infer<typeof breakGlassResumed>;

/** The target had taken the VM before it learnt of it: its copy is stopped, and kept until people decide. */
export const copyFenced = z.strictObject({ breakGlass: digest, evidence: signedEvidence }).readonly();

/** An operator of the target gave the fenced copy up: it is destroyed. */
export const copyDiscarded = z.strictObject({ fenced: digest, by: text.min(1), reason, receipt: destructionReceipt }).readonly();
