import type { AgreementTerms, HpkeKem, MigrationMode, TrustDomain } from '@carnet/events';

/** A move as the terms look at it. `kem`: of the offer, where there is one. */
export interface Terms {
  readonly mode: MigrationMode;
  readonly target: TrustDomain;
  readonly kem?: HpkeKem;
}

/** What an agreement calls the KEMs of offers. */
const ALGORITHM_OF: Readonly<Record<HpkeKem, AgreementTerms['algorithms'][number]>> = {
  '0x647a': 'x25519-ml-kem-768',
  '0x0010': 'dhkem-p256',
};

export type TermsCode =
  | 'AGREEMENT_NOT_BEGUN'
  | 'AGREEMENT_EXPIRED'
  | 'MODE_NOT_AGREED'
  | 'ALGORITHM_NOT_AGREED'
  | 'ROLLBACK_WINDOW_TOO_LONG'
  | 'JURISDICTION_NOT_AGREED'
  | 'ESCROW_NOT_AGREED';
/** What the terms do not allow, in a sentence. */
export interface TermsFault {
  readonly code: TermsCode;
  readonly text: string;
}
const fault = (code: TermsCode, text: string): TermsFault => ({ code, text });

/** Why no migration may begin under these terms at that moment: as far as the two ledgers alone tell, so that an auditor can ask it, too. */
export function moveFault(terms: AgreementTerms, { mode, kem }: Omit<Terms, 'target'>, atMs: number): TermsFault | undefined {
  if (atMs < Date.parse(terms.notBefore)) return fault('AGREEMENT_NOT_BEGUN', `the agreement begins at ${terms.notBefore}`);
  // Written so that a time that is no number is refused.
  if (!(atMs < Date.parse(terms.notAfter))) return fault('AGREEMENT_EXPIRED', `the agreement ended at ${terms.notAfter}`);
  if (!terms.modes.includes(mode)) return fault('MODE_NOT_AGREED', `the agreement allows ${terms.modes.join(', ')}, not ${mode}`);
  if (kem !== undefined && !terms.algorithms.includes(ALGORITHM_OF[kem]))
    return fault('ALGORITHM_NOT_AGREED', `the agreement allows ${terms.algorithms.join(', ')}, not ${ALGORITHM_OF[kem]}`);
  return undefined;
}

/** What a CSP knows and keeps, against which terms are held. */
export interface Own {
  readonly rollbackWindowSeconds: number;
  /** To which jurisdictions a CSP answers, by this CSP's own policy set. */
  readonly jurisdictionsOf: (csp: TrustDomain) => readonly string[] | undefined;
}

/** Why none may begin by what a CSP knows beside the ledgers. */
export function ownFault(terms: AgreementTerms, target: TrustDomain, own: Own): TermsFault | undefined {
  const { rollbackWindowSeconds } = own;
  if (rollbackWindowSeconds > terms.rollbackWindowSecondsMax)
    return fault(
      'ROLLBACK_WINDOW_TOO_LONG',
      `the agreement allows ${terms.rollbackWindowSecondsMax} s, not ${rollbackWindowSeconds} s`,
    );
  const answersTo = own.jurisdictionsOf(target) ?? [];
  // A place of which nothing is known is within no terms.
  if (answersTo.length === 0)
    return fault('JURISDICTION_NOT_AGREED', `this CSP's policy set does not say to which jurisdictions ${target} answers`);
  const outside = answersTo.filter((one) => !terms.jurisdictions.some((agreed) => agreed === one));
  return outside.length === 0
    ? undefined
    : fault('JURISDICTION_NOT_AGREED', `${target} answers to ${outside.join(', ')}, which was not agreed on`);
}

/** Custodians of an escrow: `threshold` of `shares` must agree. */
export interface Quorum {
  readonly threshold: number;
  readonly shares: number;
}

/** Why a receiver may not keep such an escrow of a key that it received: fewer would be enough than was agreed, or more people would hold a share. */
export function escrowFault({ escrow }: AgreementTerms, { threshold, shares }: Quorum): TermsFault | undefined {
  if (escrow === undefined) return fault('ESCROW_NOT_AGREED', 'the agreement allows the receiver of a key no escrow');
  return threshold >= escrow.threshold && shares <= escrow.shares
    ? undefined
    : fault(
        'ESCROW_NOT_AGREED',
        `the agreement allows at least ${escrow.threshold} of at most ${escrow.shares}, not ${threshold} of ${shares}`,
      );
}
