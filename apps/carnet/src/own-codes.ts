/** What the command line itself says, beside the codes of brokers and libs: one sentence, and what to do next. */
export const OWN_CODES = {
  USAGE: { text: 'The command line is not one that carnet knows.', advice: 'The --help of the verb shows what it takes.' },
  ARGUMENT_INVALID: { text: 'An argument is not well formed.', advice: 'The --help of the verb shows what it takes.' },
  COLUMN_UNKNOWN: { text: 'There is no such column.', advice: 'The message lists those that there are.' },
  CODE_UNKNOWN: { text: 'No part of Carnet says this code.', advice: '`carnet error` lists all codes.' },
  DETACHED: { text: 'You stopped looking; the migration goes on.', advice: 'Come back with `carnet migration watch`.' },
  WAIT_TIMED_OUT: { text: 'The time to wait is over; the migration goes on.', advice: 'Wait again.' },
  MIGRATION_REFUSED: { text: 'The peer refused the migration.', advice: 'The reasons say why, and may name an alternative.' },
  MIGRATION_ROLLED_BACK: { text: 'The migration was undone.', advice: '`carnet migration events` shows every step.' },
  AUDIT_DIVERGED: {
    text: 'The ledgers do not verify.',
    advice: 'The first divergence is named with what was expected and what was found.',
  },
  PROOF_UNCONVINCING: {
    text: 'The proof does not convict whom it accuses.',
    advice: 'The code of the auditor above says what is missing or wrong; `carnet error CODE` explains it.',
  },
  KEY_USES_BROKEN: {
    text: 'The chain of key uses does not verify.',
    advice: 'Somebody changed the records: keep the database as it is, and compare with the head in earlier ledger exports.',
  },
  ROTATION_INCOMPLETE: {
    text: 'The rotation does not get on.',
    advice: 'Nothing is lost: old KEK versions stay until nothing needs them. See the log of the broker, then run it again.',
  },
  BUS_NOT_APPLIED: {
    text: 'The configuration of the bus could not be written, or its server not told.',
    advice: 'The message names the file or process; the tool tries again every two seconds.',
  },
  EVENT_KEY_UNREADABLE: {
    text: 'The event key file cannot be read, or others can read it.',
    advice: 'It is PKCS#8 PEM of an Ed25519 key, of mode 600. Until it is well the broker signs on with the key it has.',
  },
  AUTHORITY_EXISTS: {
    text: 'There is an authority in this directory already.',
    advice: 'Take another directory: a second key under one name would be a second truth.',
  },
  AUTHORITY_INCOMPLETE: {
    text: 'The directory holds no authority that can sign.',
    advice: 'Make one with `carnet authority init`; for a CSP’s, have authority.csr signed and `accept` the certificate.',
  },
  LEAF_BUSY: { text: 'Another process is replacing this certificate and its key.', advice: 'Try again: it takes milliseconds.' },
  AUTHORITY_BUSY: { text: 'Another process is at work in this directory.', advice: 'Try again: it takes milliseconds.' },
  REGISTER_BROKEN: {
    text: 'The register of an authority cannot be read, so nobody knows what it issued.',
    advice: 'Nothing is signed until it is well: repair the line that is named, or restore register.ndjson.',
  },
  PASSPHRASE_WRONG: { text: 'The authority’s key does not open.', advice: 'Name the file that holds the right passphrase.' },
  PASSPHRASE_SHORT: {
    text: 'The passphrase is too short.',
    advice: 'Take at least 20 characters, better 32 random ones: whoever steals the file can try as often as he likes.',
  },
  KEY_EXPOSED: {
    text: 'A secret file can be read by others.',
    advice: 'chmod 600 it; if others may have read it, make a new one.',
  },
  OUTLIVES_ISSUER: { text: 'The certificate would end after its issuer.', advice: 'Give it fewer days.' },
  OUTSIDE_DOMAIN: {
    text: 'This authority does not sign such certificates.',
    advice: 'The root signs authorities of CSPs, those sign leaves of their own domain.',
  },
  SIGNING_KEY_UNREADABLE: {
    text: 'A key to sign with, or to name as somebody’s, cannot be read.',
    advice: 'Private: PKCS #8 PEM of an Ed25519 key, mode 600, and --passphrase-file if it is encrypted. Public: its PEM.',
  },
  AUDIT_FAILED: { text: 'The auditor could not do its work.', advice: 'See its own message above.' },
} as const satisfies Record<string, { readonly text: string; readonly advice: string }>;
