import { z } from 'zod';
import {
  ACCREDITORS_MAX,
  APPROVALS_MAX,
  BREAK_GLASS_PERSONS_MAX,
  BREAK_GLASS_PERSONS_MIN,
  POLICIES_NAMED_MAX,
  PRINCIPAL_CHARS_MAX,
} from './limits.ts';
import { reason } from './reason.ts';
import { rekeyMethod } from './rekey.ts';
import { digest, text, timestamp, trustDomain, vmId } from './scalars.ts';
import { accreditorName, migrationMode, securityLevel } from './vm.ts';

/** Which rules a CSP decides by: what has these digests and this engine gives the same decisions, wherever it runs. */
const ruledBy = {
  /** SHA-256 over version, schema, policies and entities, in their one spelling. */
  policySet: digest,
  /** Never goes down in a ledger. */
  version: z.int().min(1),
  schema: digest,
  entities: digest,
  engine: z
    .string()
    .max(64)
    .regex(/^[a-z]+ [0-9]+\.[0-9]+\.[0-9]+$/),
};

const quoted = z.strictObject(ruledBy).readonly();
/** Which rules a decision quotes. */
export type RuledBy = z.infer<typeof quoted>;

/** Said in a ledger before the first decision there that a policy set gave. */
export const policyAnnounced = z
  .strictObject({
    ...ruledBy,
    /** The revocation lists in it, by accreditor: no number ever goes down in a ledger. Absent: no accreditor is accepted. */
    revocations: z
      .array(z.strictObject({ issuer: accreditorName, number: z.int().min(1) }).readonly())
      .min(1)
      .max(ACCREDITORS_MAX)
      .readonly()
      .optional(),
  })
  .readonly();
export type PolicyAnnounced = z.infer<typeof policyAnnounced>;

const count = z.int().min(0);
/** Migrations with this peer in this direction that are open, without the one in question; memory and disks of their VMs. */
export const openAmounts = z.strictObject({ migrations: count, memoryMiB: count, diskBytes: count }).readonly();
export type OpenAmounts = z.infer<typeof openAmounts>;

const principal = z.string().min(1).max(PRINCIPAL_CHARS_MAX);

/** The question that was put to the policies: with the intent it is the whole of it, so that anybody can put it again. */
export const policyQuestion = z
  .strictObject({
    /** `send`: asked of the source, about the asker. `receive`: asked of the target, about the source. */
    action: z.enum(['send', 'receive']),
    principal,
    vm: vmId,
    source: trustDomain,
    target: trustDomain,
    mode: migrationMode,
    /** What the intent demands of the target on arrival; absent: `none`. */
    rekey: rekeyMethod.optional(),
    /** What time windows were judged by. */
    time: timestamp,
    open: openAmounts,
    /** Of `receive`: the highest level that any host of the target which is up has. */
    hostLevel: securityLevel.optional(),
    approvers: z.array(principal).max(APPROVALS_MAX).readonly(),
  })
  .readonly();
export type PolicyQuestion = z.infer<typeof policyQuestion>;

/** A policy's `@id`. */
export const policyId = z
  .string()
  .max(128)
  .regex(/^[a-z0-9][a-z0-9/-]*$/);

/** What was put to the source's policies about each person whose word breaks a glass; the VM is the intent's. */
export const breakGlassQuestion = z
  .strictObject({
    action: z.literal('break-glass'),
    principal,
    vm: vmId,
    source: trustDomain,
    target: trustDomain,
    mode: migrationMode,
    /** When it is asked, and when the key was released that has no answer. */
    time: timestamp,
    released: timestamp,
    /** All who signed that the VM shall run at its source, `principal` among them. */
    persons: z.array(principal).min(BREAK_GLASS_PERSONS_MIN).max(BREAK_GLASS_PERSONS_MAX).readonly(),
  })
  .readonly();
export type BreakGlassQuestion = z.infer<typeof breakGlassQuestion>;

/** A question, what came of it, and by which rules: another one with the same files comes to the same. */
const decisionOn = <T extends z.ZodType>(asked: T) =>
  z
    .strictObject({
      ...ruledBy,
      allowed: z.boolean(),
      asked,
      /** SHA-256 over the request as the engine got it: question, VM and restrictions together. */
      request: digest,
      /** Policies that determined the decision, sorted; none: nothing permits it. */
      determining: z.array(policyId).max(POLICIES_NAMED_MAX).readonly(),
      reasons: z.array(reason).min(1).max(POLICIES_NAMED_MAX).readonly(),
    })
    .readonly();

/** The verdict of one side's policy on the intent, such that this side's auditor comes to the same from the same policy files. */
export const policyDecision = decisionOn(policyQuestion);
export type PolicyDecision = z.infer<typeof policyDecision>;

/** The verdict of the source's policy on one person who breaks a glass. */
export const breakGlassDecision = decisionOn(breakGlassQuestion);
export type BreakGlassDecision = z.infer<typeof breakGlassDecision>;

/** What a second person signs: this migration, asked for with this content. `request`: SHA-256 as in `RequestRecord`. */
export const approvalStatement = z
  .strictObject({ approves: z.literal('migration'), request: digest, reason: text.optional() })
  .readonly();
export type ApprovalStatement = z.infer<typeof approvalStatement>;
