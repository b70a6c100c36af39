/**
 * What only an auditor says. Admission's codes (`@carnet/trust`), certificate codes (`@carnet/pki`) and void codes (`@carnet/saga`)
 * come through unchanged. Here, not in the auditor, since an app imports no app and `carnet error` explains these, too.
 */
export const AUDIT_CODES = {
  EXPORT_MALFORMED: { text: 'The file is no ledger export.', advice: 'Export again with `carnet-audit export`.' },
  EXPORT_TRUNCATED: {
    text: 'The export has no end line: it is not known what is missing.',
    advice: 'Export again; what was cut off may be what somebody wanted to hide.',
  },
  EXPORT_EMPTY: {
    text: 'The exports hold no event at all.',
    advice: 'Name the exports, or the brokers, of CSPs that have moved something.',
  },
  EXPORT_EXISTS: { text: 'The file exists; an export never overwrites.', advice: 'Name another file.' },
  FILE_UNREADABLE: { text: 'A file cannot be read or written.', advice: 'Check its path and permissions.' },
  BROKER_FAILED: {
    text: 'A broker did not give its export, or not all of it.',
    advice: 'Check that it runs and that the context has the role auditor.',
  },
  USAGE: { text: 'The command line cannot be followed.', advice: '`carnet-audit --help` lists everything.' },

  CHECKPOINT_DIFFERS: {
    text: 'The ledger that is shown is not the one whose checkpoint its publisher signed.',
    advice: 'Somebody rewrote history: keep the note and the export, and call both CSPs.',
  },
  CHECKPOINT_TRUNCATED: {
    text: 'The checkpoint counts more events than are shown.',
    advice: 'The end was cut off, or a database was restored: ask the other side for its export.',
  },
  CHECKPOINT_NEWER: {
    text: 'The checkpoint was cosigned after the exports were made.',
    advice: 'Export again to judge it.',
  },
  CHECKPOINT_UNVERIFIED: {
    text: 'The note is no checkpoint that a publisher of these ledgers signed.',
    advice: 'It proves nothing: look where it came from.',
  },
  ENVELOPE_REPEATED: {
    text: 'The export holds one envelope twice.',
    advice: 'The export was edited: get another one from the CSP.',
  },
  AGENT_REFUSED: {
    text: 'The pinned agent is not that host of that CSP, by its certificate at that time.',
    advice: 'Evidence under it proves nothing; the text names the certificate check that failed.',
  },
  EVIDENCE_REFUSED: {
    text: 'Evidence is not signed by the pinned agent.',
    advice: 'Whoever published it had no word of the host: call that CSP.',
  },
  EVIDENCE_DIFFERS: {
    text: 'Evidence speaks of something else than the event.',
    advice: 'An old or foreign testimony was presented: call that CSP.',
  },
  EVIDENCE_MISSING: { text: 'The event claims what it has no evidence for.', advice: 'Ask that CSP for the agent’s word.' },
  REQUEST_REFUSED: {
    text: 'The request inside an intent is not signed by a principal of the source.',
    advice: 'Nobody is known to have asked for this move: call the source.',
  },
  REQUEST_DIFFERS: {
    text: 'The intent is not what was asked for.',
    advice: 'The broker acted beyond the signed request: call the source.',
  },
  POLICY_DENIED: {
    text: 'A side went on although its own policy denied.',
    advice: 'Ask that CSP why its broker ignored its policy.',
  },
  POLICY_DISAGREES: {
    text: 'The policy files that a decision names decide otherwise.',
    advice: 'The broker did not decide by its own policy: keep export and files, and call that CSP.',
  },
  POLICY_QUESTION_DIFFERS: {
    text: 'A policy decision is about something else than its event.',
    advice: 'An old or foreign decision was presented: call that CSP.',
  },
  POLICY_NOT_ANNOUNCED: {
    text: 'A decision quotes a policy set that its ledger did not announce last.',
    advice: 'Ask that CSP by which rules its broker decides.',
  },
  POLICY_NOT_QUOTED: {
    text: 'The glass was broken without a decision of the policy set that the source had announced.',
    advice: 'Its broker asks its policy and quotes it: ask that CSP what was decided, and by what program.',
  },
  POLICY_DOWNGRADED: {
    text: 'A CSP went back to an older policy set, or changed one without a new version.',
    advice: 'Ask that CSP who took the newer rules away.',
  },
  APPROVAL_FALSE: {
    text: 'The approval of a second person is none.',
    advice: 'Nobody else is known to have agreed to this move: call the source.',
  },
  POLICIES_UNUSABLE: {
    text: 'The folder of policy sets cannot be used.',
    advice: "Name a set's folder, or a broker's archive: `policies` in its state directory.",
  },
  RECEIPT_INCOMPLETE: {
    text: 'The destruction receipt leaves out what was deposited.',
    advice: 'Keys or artifacts may be left behind: call that CSP.',
  },
  RECEIPT_DIFFERS: {
    text: 'The host testifies to another destruction than the receipt says.',
    advice: 'Something may be left behind, or was never there: call that CSP.',
  },
  REKEY_DIFFERS: {
    text: 'The host testifies to other headers than the target says it re-keyed.',
    advice: 'Take the volumes for ones that the source can open, and call the target.',
  },
  REKEY_OMITTED: {
    text: 'The target runs the VM on volumes that it did not re-key as agreed.',
    advice: 'Take the volumes for ones that the source can open; hold the target to its offer.',
  },
  ORDER_BROKEN: {
    text: 'Two steps stand in an impossible order.',
    advice: 'The text names both; call the CSP that took the later one.',
  },
  TWO_HOLDERS: {
    text: 'Two CSPs may have run the VM at once.',
    advice: 'Find out which disk is the truth before anything else is moved.',
  },
  EPOCH_TWICE: {
    text: 'Two migrations of one VM took the same epoch.',
    advice: 'The fence on the hosts cannot tell them apart: call the source of both.',
  },

  KEY_HISTORY_BROKEN: {
    text: "A line of the history of a CSP's own key was changed, left out, put between others, or is no possible step.",
    advice: 'Have that CSP bring its database back from a backup, and compare with exports that you kept.',
  },
  KEY_HISTORY_SIGNATURE: {
    text: "An operator's change of a key is not signed by an event key of its CSP, or another change is.",
    advice: 'Take the change, its actor and its reason for unproven.',
  },
  KEY_HISTORY_UNSIGNED: {
    text: 'A key was compromised by the word of nobody.',
    advice: 'Only an operator says so, and the CSP signs it: have it show who did.',
  },
  KEY_HISTORY_DIFFERS: {
    text: 'A CSP told a peer of a change of a key that its own history does not hold, or shows two histories.',
    advice: 'Its history was set back or rewritten, or it lied to the peer: compare with exports that you kept.',
  },
  ESCROW_REPEATED: {
    text: 'One escrow was dealt twice, or only after it had been used.',
    advice: 'Have that CSP show its signed manifests: its recoveries may have had fewer approvals than must agree.',
  },
  ESCROW_DRILL_DIFFERS: {
    text: 'A drill of an escrow names others than hold its shares.',
    advice: 'Have that CSP show the signed proofs; take the escrow for undrilled.',
  },
  RECOVERY_UNASKED: {
    text: 'A key was recovered, or a recovery approved, that nobody had asked for, or a second time.',
    advice: 'Have that CSP show the signed request; take the key for known to others.',
  },
  RECOVERY_LATE: {
    text: 'A step of a recovery was told after its request had ended: it came too late, or the ledger could not be written before.',
    advice: 'Nobody is convicted by it. Have that CSP show the signed statement, which says when the step was taken.',
  },
  RECOVERY_PERSON: {
    text: 'One person took two steps of a recovery, or approved without a share.',
    advice: 'Who asks and who approves must be different persons: call that CSP.',
  },
  RECOVERY_UNAPPROVED: {
    text: 'A key was recovered without the approvals that its escrow demands.',
    advice: 'Take the key for known to others, and have the volume re-keyed.',
  },
  REVOKED_KEY_SIGNED: {
    text: 'Events were placed that a key signed after the position up to which its owner vouches for it.',
    advice: 'Go through them with that CSP.',
  },
  REQUEST_VOUCHED: {
    text: 'Nobody signed the request: the source’s broker alone vouches for who asked.',
    advice: 'Let schedulers sign their requests if this must be provable.',
  },
  TAIL_IN_FLIGHT: {
    text: 'An event cites what was written while the export ran.',
    advice: 'Audit again, with an export of both sides, to settle it.',
  },
} as const satisfies Readonly<Record<string, { readonly text: string; readonly advice: string }>>;
export type AuditCode = keyof typeof AUDIT_CODES;
