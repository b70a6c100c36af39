import { base64, CERTIFICATE_BASE64_MAX, dsseEnvelope, ESCROW_CUSTODIANS_MAX, spiffeId, text, timestamp } from '@carnet/events';
import { z } from 'zod';

const rows = <T extends z.ZodType>(items: T) => z.strictObject({ items: z.array(items).readonly() });
const names = z.array(z.string()).readonly();
const reason = text.min(1);

export const escrowQuery = z.strictObject({ key: z.uuid().optional() });
export const escrowParams = z.strictObject({ escrow: z.uuid() });
export const drillParams = z.strictObject({ drill: z.uuid() });
export const recoveryParams = z.strictObject({ recovery: z.uuid() });

/** A statement that a person signed, and the leaf that signed it. */
export const said = z.strictObject({ envelope: dsseEnvelope, certificate: base64.max(CERTIFICATE_BASE64_MAX) }).readonly();

export const escrowWish = z.strictObject({
  key: z.uuid(),
  threshold: z.int().min(2).max(ESCROW_CUSTODIANS_MAX),
  custodians: z.array(spiffeId).min(2).max(ESCROW_CUSTODIANS_MAX).readonly(),
  reason,
});
export const drillWish = z.strictObject({ reason, notAfter: timestamp });

export const custodianRow = z.strictObject({ custodian: z.string(), sealingKey: z.string(), enrolledAt: z.string() });
export const custodianRows = rows(custodianRow);

export const escrowRow = z.strictObject({
  escrow: z.string(),
  state: z.string(),
  key: z.string(),
  vm: z.string(),
  threshold: z.int(),
  custodians: names,
  digest: z.string(),
  createdAt: z.string(),
  by: z.string(),
  reason: z.string(),
});
export const escrowRows = rows(escrowRow);

export const drillRow = z.strictObject({
  drill: z.string(),
  escrow: z.string(),
  state: z.enum(['open', 'concluded']),
  reason: z.string(),
  by: z.string(),
  at: z.string(),
  notAfter: z.string(),
  proven: names,
  failed: names.optional(),
  concludedAt: z.string().optional(),
  envelope: dsseEnvelope,
});

export const recoveryRow = z.strictObject({
  recovery: z.string(),
  escrow: z.string(),
  state: z.string(),
  asker: z.string(),
  reason: z.string(),
  at: z.string(),
  notAfter: z.string(),
  digest: z.string(),
  envelope: dsseEnvelope,
  approvals: z
    .array(z.strictObject({ custodian: z.string(), reason: z.string(), at: z.string(), digest: z.string() }))
    .readonly(),
  outcome: z.string().optional(),
});

export const escrowDetail = z.strictObject({
  ...escrowRow.shape,
  manifest: dsseEnvelope,
  shares: z.array(z.strictObject({ enc: z.string(), ct: z.string() })).readonly(),
  drills: z.array(drillRow).readonly(),
  recoveries: z.array(recoveryRow).readonly(),
});
