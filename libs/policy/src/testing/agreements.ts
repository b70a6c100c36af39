import { type AgreementTerms, agreementTerms, type Digest, digest, type Event, type TrustDomain } from '@carnet/events';
import type { Said } from '../index.ts';

/** Terms, and what two CSPs said of them. */
export const termsOf = (version: number, more: Partial<AgreementTerms> = {}): AgreementTerms =>
  agreementTerms.parse({
    version,
    modes: ['cold'],
    algorithms: ['x25519-ml-kem-768'],
    escrow: { threshold: 2, shares: 3 },
    retentionDays: 365,
    jurisdictions: ['DE'],
    rollbackWindowSecondsMax: 300,
    notBefore: '2026-01-01T00:00:00.000Z',
    notAfter: '2027-01-01T00:00:00.000Z',
    ...more,
  });

export const idOf = (n: number): Digest => digest.parse(n.toString(16).padStart(64, '0'));

export const proposed = (n: number, publisher: TrustDomain, terms: AgreementTerms): Said => ({
  digest: idOf(n),
  event: { type: 'AgreementProposed', publisher, seq: String(n), data: { terms } } as Event,
});
export const accepted = (n: number, publisher: TrustDomain, proposal: number): Said => ({
  digest: idOf(n),
  event: { type: 'AgreementAccepted', publisher, seq: String(n), data: { proposal: idOf(proposal) } } as Event,
});
