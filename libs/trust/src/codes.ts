/** One entry per refusal: the sentence and what to do next (`carnet error CODE`). */
export const TRUST_CODES = {
  ENVELOPE_TOO_LARGE: {
    text: 'The envelope is larger than an event may be.',
    advice: 'The sender is broken or hostile: contact the peer; nothing was stored.',
  },
  ENVELOPE_MALFORMED: {
    text: 'The bytes are no DSSE envelope with exactly one signature.',
    advice: 'Compare the sender’s version with yours; a bus that damages messages shows here too.',
  },
  ENVELOPE_NOT_CANONICAL: {
    text: 'The envelope is not in its one canonical spelling, so its digest could be forged by re-spelling it.',
    advice: 'Somebody between the signer and you re-encoded it: ask the peer to send the ledger again.',
  },
  PAYLOAD_TYPE_UNEXPECTED: {
    text: 'The envelope signs another kind of thing than was expected here.',
    advice: 'A signed thing was presented in a foreign place: treat it as an attack and keep the message.',
  },
  SIGNER_UNKNOWN: {
    text: 'No key is known under the key id of the envelope.',
    advice: 'Check that the signer is a peer and that its key announcement was received.',
  },
  SIGNATURE_INVALID: {
    text: 'The signature does not verify over these bytes.',
    advice: 'The message was altered or forged: nothing was stored. If it repeats, inspect who can publish on the bus.',
  },
  KEY_INVALID: {
    text: 'The public key is no sound Ed25519 point, or its id is not its SHA-256.',
    advice: 'Create a new event key at the publisher.',
  },
  KEY_NOT_ANNOUNCED: {
    text: 'The signing key was not announced in this ledger.',
    advice: 'Ask for the ledger from your head on: the announcement may be in a gap.',
  },
  KEY_ENDED: {
    text: 'The signing key was replaced or revoked before this position.',
    advice: 'If the publisher did not rotate lately, its old key is being abused: call the peer.',
  },
  KEY_NOT_YET_VALID: {
    text: 'The key announcement is dated before the key’s own notBefore.',
    advice: 'Check the publisher’s clock.',
  },
  KEY_ANNOUNCED_AHEAD: {
    text: 'The key announcement is dated in the future.',
    advice: 'Check both clocks; a future date would make a certificate count before its time.',
  },
  CERTIFICATE_PATH_REFUSED: {
    text: 'The certificate chain of the key announcement or revocation is not valid for the publisher.',
    advice: 'The text names the certificate check that failed: renew the certificate or the CRL.',
  },
  KEY_STATEMENT_FORGED: {
    text: 'The X.509 identity did not sign this key announcement or revocation.',
    advice: 'Treat it as an attack: somebody holds an event key but not the identity.',
  },
  PUBLISHER_MISMATCH: {
    text: 'The event names another publisher than the ledger it came in.',
    advice: 'Somebody re-targeted an event: inspect who can publish on this ledger.',
  },
  AUDIENCE_MISMATCH: {
    text: 'The event was made for another audience.',
    advice: 'Somebody replays another ledger’s events here: inspect who can publish on this ledger.',
  },
  SUBJECT_MISMATCH: {
    text: 'The event came on another subject than its content says.',
    advice: 'Inspect the bus permissions: a subject must be writable by its publisher only.',
  },
  JSON_UTF8: { text: 'The payload is not UTF-8.', advice: 'The signer is broken: contact the peer.' },
  JSON_SYNTAX: { text: 'The payload is no JSON document.', advice: 'The signer is broken: contact the peer.' },
  JSON_DUPLICATE_KEY: {
    text: 'An object repeats a key, which parsers read differently.',
    advice: 'The signer tries to say two things at once: contact the peer.',
  },
  JSON_NUMBER: {
    text: 'A number is no safe integer (float, exponent, minus zero or too large).',
    advice: 'The signer is broken: such numbers are read differently by parsers.',
  },
  JSON_SURROGATE: { text: 'A string holds a lone surrogate.', advice: 'The signer is broken: contact the peer.' },
  JSON_DEPTH: { text: 'The document is nested too deeply.', advice: 'The signer is broken or hostile: contact the peer.' },
  JSON_PROTO: { text: 'An object uses the key __proto__.', advice: 'The signer is hostile: contact the peer.' },
  PLACEMENT_INVALID: {
    text: 'The payload lacks what is needed to place it in a ledger.',
    advice: 'The publisher may run a newer version of the protocol: compare versions.',
  },
  ID_REUSED: {
    text: 'The event repeats the id of another event.',
    advice: 'The publisher’s random source or database is broken: contact the peer.',
  },
  GENESIS_EXPECTED: {
    text: 'The first event of a ledger must follow the genesis digest.',
    advice: 'The publisher lost its database: recover it before going on.',
  },
  SEQUENCE_GAP: {
    text: 'Events before this one are missing.',
    advice: 'Nothing to do: the missing events are asked for. If it lasts, check the peer’s broker and the bus.',
  },
  LEDGER_FORK: {
    text: 'The publisher signed two different events for one position.',
    advice: 'New work with this peer is frozen. Keep both envelopes: they are proof. Call the peer.',
  },
  CAUSE_UNKNOWN: {
    text: 'The event relies on an event of ours that we do not have.',
    advice: 'Either the peer lies or this database was restored: the ledger is frozen until the peer answered a challenge.',
  },
  SCHEMA_INVALID: {
    text: 'The event is placed but void: its own schema refuses it.',
    advice: 'The publisher runs another version or is broken: compare versions.',
  },
  TYPE_UNKNOWN: {
    text: 'The event is placed but void: its type is not known here.',
    advice: 'The publisher runs a newer version: update yours.',
  },
  KEY_REUSED: {
    text: 'The announcement is placed but void: this key was announced before.',
    advice: 'A key is announced once in a ledger; create a new one.',
  },
  KEY_NOT_SELF_SIGNED: {
    text: 'The announcement is placed but void: it is not signed by the key that it announces.',
    advice: 'Sign the announcement with the new key: it proves possession.',
  },
  KEY_UNKNOWN: {
    text: 'The revocation is placed but void: it names a key that this ledger never announced.',
    advice: 'Check the key id at the publisher.',
  },
  NOTE_MALFORMED: { text: 'The bytes are no signed note.', advice: 'Check where the checkpoint came from.' },
  CHECKPOINT_FOREIGN: {
    text: 'The checkpoint is of another ledger.',
    advice: 'Take the one that names this publisher and this audience.',
  },
  CHECKPOINT_MALFORMED: { text: 'The text is no C2SP tlog-checkpoint.', advice: 'Check where the checkpoint came from.' },
} as const satisfies Readonly<Record<string, { readonly text: string; readonly advice: string }>>;

export type TrustCode = keyof typeof TRUST_CODES;

/** Why strict JSON was refused. */
export type JsonCode = Extract<TrustCode, `JSON_${string}`>;
/** Why an envelope was refused, whatever it holds. */
export type EnvelopeCode = Extract<
  TrustCode,
  `ENVELOPE_${string}` | 'PAYLOAD_TYPE_UNEXPECTED' | 'SIGNER_UNKNOWN' | 'SIGNATURE_INVALID'
>;
/** Why a placed event counts for nothing, for everyone equally. */
export type VoidCode = Extract<
  TrustCode,
  'SCHEMA_INVALID' | 'TYPE_UNKNOWN' | 'KEY_REUSED' | 'KEY_NOT_SELF_SIGNED' | 'KEY_UNKNOWN'
>;
/** Why an event was not placed. */
export type AdmissionCode = Exclude<
  TrustCode,
  | VoidCode
  | 'SIGNER_UNKNOWN'
  | 'SEQUENCE_GAP'
  | 'LEDGER_FORK'
  | 'CAUSE_UNKNOWN'
  | 'NOTE_MALFORMED'
  | 'CHECKPOINT_MALFORMED'
  | 'CHECKPOINT_FOREIGN'
>;
