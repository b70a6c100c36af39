/** Codes of escrows, part of the closed union in `codes.ts`. */
export const ESCROW_CODES = {
  ESCROW_TERMS_INVALID: {
    text: 'An escrow needs at least two custodians who must agree, each another person, and no more than it has.',
    advice: 'M is 2 or more and at most N, N at most 16; one seat a person.',
  },
  ESCROW_KEY_UNFIT: {
    text: 'Keys of the disks and states of a VM are escrowed; memory keys, which serve once, and keys of images are not.',
    advice: 'An image is registered again from its source.',
  },
  ESCROW_UNKNOWN: { text: 'No such escrow.', advice: 'List them with `carnet key escrow list`.' },
  ESCROW_SUPERSEDED: {
    text: 'The key was dealt anew, left, or came back since: this escrow is of the past.',
    advice: 'Use the newest escrow of the key; see `carnet key escrow list`.',
  },
  ESCROW_NOT_AGREED: {
    text: 'The agreement with the CSP that the VM came from does not allow such an escrow.',
    advice: '`carnet peer agreement` shows the quorum; take a larger M or fewer custodians, or agree on other terms.',
  },
  ESCROW_NOT_HOLDER: {
    text: 'This CSP does not hold the VM in its current epoch.',
    advice: 'An escrow never replaces a release: only the CSP where the VM is may recover its key.',
  },
  ESCROW_LEDGERS_BEHIND: {
    text: 'Our own ledgers are not whole: whether this CSP still holds the VM is not known yet.',
    advice:
      'The database came back from a backup. Wait until its ledgers have left quarantine; `carnet peer list` shows for whom they wait.',
  },
  ESCROW_PACKAGE_UNOPENABLE: {
    text: 'The shares are right, and yet the escrowed key does not open.',
    advice: 'The stored package was changed: bring the escrow back from a backup; its digest stands in the ledgers.',
  },
  CUSTODIAN_UNKNOWN: {
    text: 'No sealing key of this custodian is enrolled, or the custodian has no share of this escrow.',
    advice: 'The custodian runs `carnet key escrow enroll` once; shares are dealt when an escrow is made.',
  },
  CUSTODIAN_REFUSED: {
    text: 'The statement is not signed by a valid certificate of this CSP, or not by whom it names.',
    advice: 'Check which certificate signed: custodians and operators sign for themselves only.',
  },
  ESCROW_ROLE_MISSING: {
    text: 'Who signed has not the role that this takes, whoever brought it.',
    advice: 'Custodians need the role `custodian`, who asks `operator` or `key-custodian`; the policy set gives roles.',
  },
  ENROLMENT_OLD: {
    text: 'The custodian has said a sealing key that is as new, or newer.',
    advice: 'Enroll with a statement made now. If nobody of yours sent this one, somebody says an old word again.',
  },
  ENROLMENT_AHEAD: {
    text: 'The statement is of the future.',
    advice: 'Set the clock of the machine where the custodian signs.',
  },
  CUSTODIAN_FILE_INVALID: {
    text: 'The file with the sealing key is not one of ours, was changed, or does not open with the passphrase.',
    advice: 'Check file and passphrase. If the key is lost, enroll a new one and have escrows dealt anew.',
  },
  SEALING_KEY_INVALID: {
    text: "A custodian's sealing key is not one of KEM 0x647a, or another than enrolled.",
    advice: 'The custodian enrolls again.',
  },
  SHARE_DIGEST_DIFFERS: {
    text: 'The sealed share is not the one whose digest was published.',
    advice: 'It was changed where it lies: compare with the ledgers, bring it back from a backup.',
  },
  SHARE_UNOPENABLE: {
    text: 'A share does not open for this custodian, escrow and request.',
    advice: 'Another sealing key, a share of another escrow, or changed bytes: find out which before going on.',
  },
  SHARE_DIFFERS: {
    text: 'A share opens, and is not the one that was dealt.',
    advice: 'The custodian named gave another share: ask in person, and go on with others.',
  },
  SHARE_REPEATED: { text: 'One share came twice.', advice: 'Each custodian counts once.' },
  STATEMENT_INVALID: {
    text: 'The signed statement is not of the kind that is asked for here.',
    advice: 'Program and broker must be of one version.',
  },
  STATEMENT_DIFFERS: {
    text: 'The statement is about another escrow, request or drill.',
    advice: 'It was made for something else: nothing was counted.',
  },
  DRILL_UNKNOWN: { text: 'No such drill.', advice: 'See `carnet key escrow show`.' },
  DRILL_CLOSED: { text: 'The drill has ended.', advice: 'Its result stands in the ledgers; open another.' },
  SHARE_PROOF_WRONG: {
    text: 'The proof is not one by the share that was dealt to this custodian.',
    advice: 'The share is lost or was changed: have the key dealt anew.',
  },
  RECOVERY_UNKNOWN: { text: 'No such recovery.', advice: 'See `carnet key escrow show`.' },
  RECOVERY_ENDED: { text: 'The recovery has ended.', advice: 'Ask anew if the key is still lost.' },
  RECOVERY_EXPIRED: {
    text: 'The request to recover has expired.',
    advice: 'Ask anew: custodians approve what is asked today.',
  },
  RECOVERY_EXPIRY_INVALID: {
    text: 'The request ends in the past, or later than 30 days from now.',
    advice: 'Choose an end that custodians can meet.',
  },
  RECOVERY_DUTY: {
    text: 'Who asks, who approves and who recovers must be different persons, and an API key is none.',
    advice: 'Somebody else must do this step, by name: a key does not say who holds it.',
  },
  APPROVAL_REPEATED: { text: 'This person has already approved.', advice: 'Each person counts once.' },
  APPROVALS_MISSING: {
    text: 'Fewer custodians have approved than must agree, counting those who may still.',
    advice:
      '`carnet key escrow show` says who has not. An approval counts while its custodian has the role and the certificate that signed it is valid: else have others approve, or ask anew.',
  },
  RECOVERY_KEY_UNOPENABLE: {
    text: 'The private key of the recovery does not open.',
    advice: 'The root was lost again, or a row was changed: ask anew.',
  },
  ROOT_NOT_LOST: {
    text: 'The root opens what is in the database: it is not lost.',
    advice: 'Declare a root lost only when no backup of it exists.',
  },
} as const satisfies Record<string, { readonly text: string; readonly advice: string }>;
