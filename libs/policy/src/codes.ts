/** Why a policy denies, and why a set is not taken: each with a sentence and what to do next. */
export const POLICY_CODES = {
  ALLOWED: { text: 'Policies permit it, and none forbids it.', advice: 'Nothing.' },
  NOT_PERMITTED: {
    text: 'No policy permits it.',
    advice:
      'Have an administrator add a permit, or the user, role or project in entities.json; `carnet policy test` shows the effect.',
  },
  LEGAL_HOLD: { text: 'The VM is on legal hold.', advice: 'Only an administrator lifts it: `carnet vm release VM`.' },
  PLACE_UNKNOWN: {
    text: 'Nothing is known of where the target answers to courts.',
    advice: 'Add the target as a Csp with jurisdictions and level to entities.json.',
  },
  JURISDICTION_FORBIDDEN: {
    text: 'The target answers to a jurisdiction that the VM must not enter.',
    advice: 'Choose another target; only the home of the VM can allow more jurisdictions.',
  },
  ONWARD_FORBIDDEN: {
    text: 'The VM must not be sent on by who received it.',
    advice: 'Send it back to its home, which may send it anywhere.',
  },
  LEVEL_TOO_LOW: {
    text: 'No host of the target has the security level that the VM needs.',
    advice: 'Choose another target, or wait until a host of that level is up.',
  },
  SELF_APPROVAL: {
    text: 'Who asks cannot approve, under whatever name.',
    advice: 'Have another person run `carnet migration approve ID`.',
  },
  APPROVER_NO_PERSON: {
    text: 'An API key cannot approve: it does not say who holds it.',
    advice: 'Have a person run `carnet migration approve ID` with a certificate, or with a token of an identity provider.',
  },
  APPROVAL_NEEDED: {
    text: 'A second person has to approve this move.',
    advice: 'Have somebody else run `carnet migration approve ID`; the request waits for it.',
  },
  QUOTA_EXCEEDED: { text: 'Too much is on its way with this peer.', advice: 'Ask again when a migration has ended.' },
  TOO_LARGE: { text: 'The VM is larger than this CSP moves.', advice: 'Move a smaller VM, or have the limit raised.' },
  OUTSIDE_WINDOW: { text: 'It is not the time for such moves.', advice: 'Ask again inside the window that the policy names.' },
  PROJECT_FOREIGN: {
    text: "The user is not a member of the VM's project.",
    advice: 'Ask a member of the project, or have the user added to it in entities.json.',
  },
  CONSENT_MISSING: {
    text: 'The VM has an owner, who has not consented to this move.',
    advice: 'Have the owner run `carnet consent sign`, and start the move with --consent FILE.',
  },
  CONSENT_INVALID: {
    text: 'The consent is not signed by the owner of the VM, or says nothing that Carnet understands.',
    advice: 'Have the owner whose key `carnet vm show VM` names sign with `carnet consent sign`.',
  },
  CONSENT_OTHER_VM: { text: 'The consent is for another VM.', advice: 'Have the owner sign one for this VM.' },
  CONSENT_OTHER_IMAGE: {
    text: 'The consent is for another state of the VM: other disks, keys or machine.',
    advice: 'Have the owner sign anew for what `carnet vm show VM` says now.',
  },
  CONSENT_OTHER_DESTINATION: {
    text: 'The consent is for another source or target.',
    advice: 'Have the owner sign for this pair of CSPs, or move it where the consent says.',
  },
  CONSENT_OTHER_MODE: {
    text: 'The consent is for another mode.',
    advice: 'Move it in a mode that the consent names, or have the owner sign for this one.',
  },
  CONSENT_OUTSIDE_WINDOW: {
    text: 'The move is not within the window of the consent, from now to its deadline.',
    advice: 'Ask inside the window, or have the owner sign for another.',
  },
  CONSENT_USED: {
    text: 'The consent was for one other attempt alone.',
    advice: 'Have the owner sign for the epoch that `carnet migration plan` names, or for a window.',
  },
  ACCREDITATION_MISSING: {
    text: 'The VM demands an accreditation that the target is not known to have.',
    advice: 'Ask the target for its token, and put it into accreditations.json; or choose another target.',
  },
  ACCREDITATION_NOT_ACCEPTED: {
    text: 'The accreditation that the VM demands is not signed by an accreditor whom this CSP accepts.',
    advice: 'Put the accreditor into accreditors.json if this CSP trusts it; or choose another target.',
  },
  ACCREDITATION_EXPIRED: {
    text: 'The accreditation that the VM demands is over, or not yet good.',
    advice: 'Ask the target for a newer token.',
  },
  ACCREDITATION_REVOKED: {
    text: 'The accreditation that the VM demands was revoked by its accreditor.',
    advice: 'Choose another target; `carnet accreditation show` has the serial.',
  },
  REVOCATIONS_DOWNGRADED: {
    text: "A later list of an accreditor's revocations was used before.",
    advice: 'Put the newest list of that accreditor into accreditors.json.',
  },
  BREAK_GLASS_DUTY: {
    text: 'Only operators and administrators of the source break the glass.',
    advice: 'Have another person sign, who has one of these roles in entities.json.',
  },
  POLICY_ERROR: {
    text: 'A policy could not be evaluated, so nothing is allowed.',
    advice: 'The policy is named: have it corrected; `carnet policy test` shows the effect.',
  },
  ALTERNATIVE: { text: 'The same policies would allow this target.', advice: 'Ask again with this target.' },
  RESTRICTIONS_LOOSENED: {
    text: 'Restrictions of the VM were loosened away from its home.',
    advice: 'Only the home of the VM may loosen them: send it home, and call the CSP that did it.',
  },
  POLICY_FILE_MISSING: {
    text: 'A file of the policy set is missing.',
    advice: 'A set has set.json, entities.json and *.cedar files.',
  },
  POLICY_FILE_INVALID: { text: 'A file of the policy set is not well formed.', advice: 'The text names the file and the place.' },
  POLICY_SYNTAX: { text: 'A policy is not well formed Cedar.', advice: 'The text has what the engine says.' },
  POLICY_ID_INVALID: {
    text: 'A policy has no usable @id.',
    advice: 'Give each policy an @id of its own, in lower case; carnet/… belongs to the built-in policies.',
  },
  POLICY_REASON_MISSING: {
    text: 'A forbid does not say why.',
    advice: 'Annotate it with @reason("CODE"), and with @says and @advice if `carnet error` does not know the code.',
  },
  POLICY_SCHEMA_VIOLATED: {
    text: 'Policies or entities do not match the schema.',
    advice: '`carnet policy schema` prints what they may speak of.',
  },
  POLICY_BASE_OTHER: {
    text: 'The set was made for another version of Carnet.',
    advice: 'Remove carnet.cedar and carnet.cedarschema from the folder, and raise the version in set.json.',
  },
  DUTIES_MIXED: {
    text: 'A user may both ask for moves and recover keys.',
    advice: 'Give the role custodian to somebody who is neither operator nor scheduler.',
  },
  POLICY_DOWNGRADE: {
    text: 'A later version of the policy set was used before.',
    advice: 'Start with that version, or give this content a higher version in set.json.',
  },
  POLICY_VERSION_REUSED: {
    text: 'This version of the policy set was used with other content.',
    advice: 'Raise the version in set.json whenever a file of the set changes.',
  },
} as const satisfies Record<string, { readonly text: string; readonly advice: string }>;
export type PolicyCode = keyof typeof POLICY_CODES;
export const isPolicyCode = (code: string): code is PolicyCode => Object.hasOwn(POLICY_CODES, code);
