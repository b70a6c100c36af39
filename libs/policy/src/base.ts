import { ACCREDITATION_FAULTS, ACCREDITED, type AccreditationFault } from './accreditation.ts';
import { CONSENT_FAULTS, CONSENT_GIVEN, type ConsentFault } from './consent.ts';

const idOf = (fault: string): string => `carnet/${fault.toLowerCase().replaceAll('_', '-')}`;
const wordsOf = (words: readonly string[]): string => JSON.stringify(words);

/** What is neither given nor one of the other faults is invalid: whatever is not understood denies. */
const UNDERSTOOD = [CONSENT_GIVEN, ...CONSENT_FAULTS.filter((one) => one !== 'CONSENT_INVALID')];
const clauseOf = (fault: ConsentFault): string =>
  fault === 'CONSENT_INVALID'
    ? `when { resource has owner } unless { ${wordsOf(UNDERSTOOD)}.contains(context.consent) }`
    : `when { resource has owner && context.consent == "${fault}" }`;
/** One policy for each fault, so that each says its own reason. */
const CONSENT = CONSENT_FAULTS.map(
  (fault) => `
@id("${idOf(fault)}") @reason("${fault}")
forbid (principal, action in [Action::"send", Action::"receive"], resource)
${clauseOf(fault)};
`,
).join('');

/** What is not given and not one of the other faults is missing. The target is judged, by the source. */
const SAID = [ACCREDITED, ...ACCREDITATION_FAULTS.filter((one) => one !== 'ACCREDITATION_MISSING')];
const lacks = (fault: AccreditationFault): string =>
  fault === 'ACCREDITATION_MISSING'
    ? `unless { ${wordsOf(SAID)}.contains(context.accreditation) }`
    : `when { context.accreditation == "${fault}" }`;
const ACCREDITATION = ACCREDITATION_FAULTS.map(
  (fault) => `
@id("${idOf(fault)}") @reason("${fault}")
forbid (principal, action == Action::"send", resource)
${lacks(fault)};
`,
).join('');

/**
 * Restrictions that no CSP's own policies can lift: part of every set, since in Cedar a forbid wins over any permit. Each names the
 * code that `carnet error` explains.
 */
export const BASE = `@id("carnet/legal-hold") @reason("LEGAL_HOLD")
forbid (principal, action in [Action::"send", Action::"receive"], resource)
when { resource.legalHold };

// A place of which nothing is known cannot be judged.
@id("carnet/place-known") @reason("PLACE_UNKNOWN")
forbid (principal, action in [Action::"send", Action::"receive"], resource)
unless { context.target has jurisdictions && !context.target.jurisdictions.isEmpty() };

@id("carnet/jurisdiction") @reason("JURISDICTION_FORBIDDEN")
forbid (principal, action in [Action::"send", Action::"receive"], resource)
when {
  resource has jurisdictions && context.target has jurisdictions &&
  !resource.jurisdictions.containsAll(context.target.jurisdictions)
};

@id("carnet/onward") @reason("ONWARD_FORBIDDEN")
forbid (principal, action in [Action::"send", Action::"receive"], resource)
when { !resource.onward && context.source != resource.home && context.target != resource.home };

@id("carnet/level-of-peer") @reason("LEVEL_TOO_LOW")
forbid (principal, action == Action::"send", resource)
when { context.target has level && context.target.level < resource.level };

@id("carnet/level-of-hosts") @reason("LEVEL_TOO_LOW")
forbid (principal, action == Action::"receive", resource)
when { context.hostLevel < resource.level };

@id("carnet/self-approved") @reason("SELF_APPROVAL")
forbid (principal, action == Action::"send", resource)
when { context.approvers.contains(principal) };

@id("carnet/self-approval") @reason("SELF_APPROVAL")
forbid (principal, action == Action::"approve", resource)
when { principal == context.asker };

@id("carnet/break-glass-duty") @reason("BREAK_GLASS_DUTY")
forbid (principal, action == Action::"break-glass", resource)
unless { principal in Role::"operator" || principal in Role::"administrator" };
${CONSENT}${ACCREDITATION}`;
/** Ids that only these policies have. */
export const BASE_IDS = 'carnet/';
