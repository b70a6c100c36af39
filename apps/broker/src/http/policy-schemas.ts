import { base64, CERTIFICATE_BASE64_MAX, dsseEnvelope, intentRequest, policyAnnounced, vmRestrictions } from '@carnet/events';
import { z } from 'zod';

const rows = <T extends z.ZodType>(items: T) => z.strictObject({ items: z.array(items).readonly() });

export const requestRows = rows(
  z.strictObject({
    migration: z.string(),
    request: intentRequest,
    principal: z.string(),
    approvedBy: z.array(z.string()).readonly(),
    askedAt: z.string(),
  }),
);

/** Without `signed` the door vouches for who approves. */
export const approvalRequest = z.strictObject({
  signed: z.strictObject({ envelope: dsseEnvelope, certificate: base64.max(CERTIFICATE_BASE64_MAX) }).optional(),
});

export const policySetRows = rows(
  z.strictObject({
    version: z.int(),
    policySet: z.string(),
    schema: z.string(),
    entities: z.string(),
    engine: z.string(),
    revocations: policyAnnounced.unwrap().shape.revocations,
    since: z.string(),
    current: z.boolean(),
  }),
);

export const currentPolicy = z.strictObject({
  csp: z.string(),
  version: z.int(),
  policySet: z.string(),
  engine: z.string(),
  policies: z
    .array(
      z.strictObject({
        id: z.string(),
        effect: z.enum(['permit', 'forbid']),
        annotations: z.record(z.string(), z.string()),
        text: z.string(),
      }),
    )
    .readonly(),
  files: z.record(z.string(), z.string()),
});

const { project, labels, level, jurisdictions, onward, legalHold, owner, accreditations } = vmRestrictions.unwrap().shape;
/** What is to change; the rest stays. */
export const restrictionChange = z.strictObject({
  project: project.optional(),
  labels: labels.optional(),
  level: level.optional(),
  /** `null`: any. */
  jurisdictions: jurisdictions.unwrap().nullable().optional(),
  onward: onward.optional(),
  legalHold: legalHold.optional(),
  /** `null`: nobody has to consent any more. */
  owner: owner.unwrap().nullable().optional(),
  /** `null`: none. */
  accreditations: accreditations.unwrap().nullable().optional(),
});
