import { z } from 'zod';
import { JURISDICTIONS_MAX, RETENTION_DAYS_MAX, ROLLBACK_WINDOW_SECONDS_MAX } from './limits.ts';
import { digest, timestamp } from './scalars.ts';
import { jurisdiction, migrationMode } from './vm.ts';

/** What two CSPs agree on before VMs move between them, in either direction. */
export const agreementTerms = z
  .strictObject({
    /** One above that in force: the highest that both signed is in force, whatever any clock says. */
    version: z.int().min(1).max(1_000_000),
    modes: z.array(migrationMode).min(1).max(migrationMode.options.length).readonly(),
    /** How keys are sealed to the receiver. */
    algorithms: z
      .array(z.enum(['x25519-ml-kem-768', 'dhkem-p256']))
      .min(1)
      .max(2)
      .readonly(),
    /** Quorum of custodians that a receiver may keep shares with. Absent: it keeps none. The home of a VM is bound by nobody's. */
    escrow: z
      .strictObject({ threshold: z.int().min(2).max(16), shares: z.int().min(2).max(16) })
      .readonly()
      .optional(),
    /** How long each keeps its ledgers after the last migration. Carnet itself never deletes any: this binds who runs it. */
    retentionDays: z.int().min(1).max(RETENTION_DAYS_MAX),
    /** Where VMs may be kept: a target answers to none but these. */
    jurisdictions: z.array(jurisdiction).min(1).max(JURISDICTIONS_MAX).readonly(),
    rollbackWindowSecondsMax: z.int().min(0).max(ROLLBACK_WINDOW_SECONDS_MAX),
    notBefore: timestamp,
    notAfter: timestamp,
  })
  .refine(({ notBefore, notAfter }) => notBefore < notAfter, 'expected an agreement that ends after it begins')
  .refine(({ escrow }) => escrow === undefined || escrow.threshold <= escrow.shares, 'expected no more than all shares')
  .readonly();
export type AgreementTerms = z.infer<typeof agreementTerms>;

export const agreementProposed = z.strictObject({ terms: agreementTerms }).readonly();

/** `proposal`: digest of the peer's `AgreementProposed` envelope, and so of its terms to the byte: both have signed the same. */
export const agreementAccepted = z.strictObject({ proposal: digest }).readonly();
