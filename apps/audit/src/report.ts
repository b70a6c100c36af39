import { digest, epoch, migrationId, migrationMode, timestamp, trustDomain, vmId } from '@carnet/events';
import { z } from 'zod';

/**
 * The contract of `carnet-audit verify --json`. Additive changes only; `v` changes with anything else.
 */
const ledgerName = z.strictObject({ publisher: trustDomain, audience: trustDomain }).readonly();
export type LedgerName = z.infer<typeof ledgerName>;

/** `proven`: both CSPs hold it. `unsettled tail`: verified, but only one side is known to hold the end. */
export const ledgerVerdict = z.union([
  z.string().regex(/^proven to head \d+$/),
  z.literal('unsettled tail'),
  z.literal('diverged'),
]);
export const overallVerdict = z.union([
  z.string().regex(/^proven to head \d+(, \d+)*$/),
  z.literal('unsettled tail'),
  z.literal('diverged'),
]);

/** Something that the auditor names. `seq` is the position in `ledger`; `sources` are the exports that show it. */
export const finding = z
  .strictObject({
    code: z.string(),
    text: z.string(),
    ledger: ledgerName,
    seq: z.number().int(),
    digest: digest.optional(),
    migration: migrationId.optional(),
    expected: z.string().optional(),
    got: z.string().optional(),
    sources: z.array(z.string()).readonly().optional(),
  })
  .readonly();
export type Finding = z.infer<typeof finding>;

export const auditedLedger = z
  .strictObject({
    publisher: trustDomain,
    audience: trustDomain,
    verdict: ledgerVerdict,
    /** Events verified: envelope, signature, key, chain, causes. */
    events: z.number().int(),
    head: z.strictObject({ seq: z.number().int(), digest }).readonly().nullable(),
    /** Up to here both CSPs are known to hold it: by both copies, or because the audience cites it. */
    settledSeq: z.number().int(),
    /** Up to here the audience cosigned a checkpoint of the publisher, and this is what both signed. */
    cosigned: z.strictObject({ events: z.number().int(), at: timestamp }).readonly().optional(),
    copies: z.array(z.strictObject({ source: z.string(), holder: trustDomain, events: z.number().int() }).readonly()).readonly(),
    voids: z.number().int(),
    note: z.string().optional(),
  })
  .readonly();
export type AuditedLedger = z.infer<typeof auditedLedger>;

/**
 * Who could open the image from `at` on, until the next entry (`domains`; `[]` is nobody), and what changed then, by `event` at position
 * `seq` of `ledger`. `suspended`: keeps the key and has bound itself not to use it. `gained`, `lost`: can, or cannot any more, since this
 * entry. `destroyed`: held the key until now, in use or suspended, and holds it no more.
 */
export const auditedCustody = z
  .strictObject({
    at: timestamp,
    event: z.string(),
    because: digest,
    ledger: ledgerName,
    seq: z.number().int(),
    domains: z.array(trustDomain).readonly(),
    suspended: z.array(trustDomain).readonly(),
    gained: z.array(trustDomain).readonly(),
    lost: z.array(trustDomain).readonly(),
    destroyed: z.array(trustDomain).readonly(),
  })
  .readonly();
export type AuditedCustody = z.infer<typeof auditedCustody>;

export const auditedMigration = z
  .strictObject({
    migration: migrationId,
    vm: vmId,
    epoch,
    mode: migrationMode,
    source: trustDomain,
    target: trustDomain,
    /** The phase that the fold of both ledgers ends in, e.g. `retired`, `rolled-back`, `withdrawn`, `refused`, or one on the way. */
    outcome: z.string(),
    ended: z.boolean(),
    asked: z.strictObject({ principal: z.string(), via: z.enum(['signature', 'mtls', 'token']) }).readonly(),
    custody: z.array(auditedCustody).readonly(),
  })
  .readonly();
export type AuditedMigration = z.infer<typeof auditedMigration>;

/** What a CSP shows of the lives of its own keys: how many lines, and how many of them are operators' changes, signed. */
const auditedKeyHistory = z
  .strictObject({
    csp: trustDomain,
    source: z.string(),
    keys: z.number().int(),
    lines: z.number().int(),
    signed: z.number().int(),
  })
  .readonly();
export type AuditedKeyHistory = z.infer<typeof auditedKeyHistory>;

/** Decisions of policy that a CSP quotes in what was shown, and how many were made again by the auditor's policy files, alike. */
const auditedDecisions = z
  .strictObject({
    csp: trustDomain,
    quoted: z.number().int(),
    replayed: z.number().int(),
    /** Not made again, though the policy files are here: another version of the engine made them. */
    otherEngine: z.number().int(),
  })
  .readonly();
export type AuditedDecisions = z.infer<typeof auditedDecisions>;

export const auditReport = z
  .strictObject({
    carnet: z.literal('audit-report'),
    v: z.literal(1),
    /** The clock by which certificates and revocation lists were judged fresh. */
    asOf: timestamp,
    verdict: overallVerdict,
    ledgers: z.array(auditedLedger).readonly(),
    keyHistories: z.array(auditedKeyHistory).readonly(),
    migrations: z.array(auditedMigration).readonly(),
    decisions: z.array(auditedDecisions).readonly(),
    /** The first violation found. Absent: all that was shown verifies. */
    divergence: finding.optional(),
    violations: z.array(finding).readonly(),
    notices: z.array(finding).readonly(),
    /** Violations and notices beyond those listed. */
    unlisted: z.number().int(),
  })
  .readonly();
export type AuditReport = z.infer<typeof auditReport>;
