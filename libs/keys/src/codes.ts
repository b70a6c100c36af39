import { BACKEND_CODES } from './backends/codes.ts';
import { ESCROW_CODES } from './escrow/codes.ts';

/**
 * Every code of this lib: one sentence, and what to do next (`carnet error CODE`). The keys of this object are the closed union
 * `KeyCode`. No text ever carries a value.
 */
export const CODES = {
  // root and unlocking
  ROOT_FILE_MISSING: {
    text: 'The sealed root file does not exist.',
    advice: 'Create it once with `createRootFile`; restore it from backup if keys already exist.',
  },
  ROOT_FILE_EXISTS: {
    text: 'A sealed root file is already there.',
    advice: 'Never replace a root: every key under it would be lost. Choose another path or keep this one.',
  },
  ROOT_FILE_INVALID: {
    text: 'The sealed root file is not one of ours or was changed.',
    advice: 'Restore the file from backup; its parameters are checked before use.',
  },
  ROOT_FILE_EXPOSED: {
    text: 'The sealed root file can be read or written by others.',
    advice: 'Run `chmod 600` on it and find out who had access.',
  },
  ROOT_PASSPHRASE_WRONG: {
    text: 'The passphrase does not open the root.',
    advice: 'Check the passphrase file or systemd credential; the root file itself is intact or was tampered with.',
  },
  PASSPHRASE_UNREADABLE: {
    text: 'The passphrase source cannot be read.',
    advice: 'Check the path, its mode, and LoadCredential= of the unit.',
  },
  PASSPHRASE_EXPOSED: {
    text: 'The passphrase file can be read by others.',
    advice: 'Run `chmod 600` on it and change the passphrase.',
  },
  PASSPHRASE_LENGTH: {
    text: 'The passphrase is too short or too long.',
    advice: 'Use 12 bytes to 4 KiB; 32 random bytes in base64 are best.',
  },
  // key records
  KEY_UNKNOWN: { text: 'No such key is held here.', advice: 'List keys with `carnet key list`; it may have left with its VM.' },
  KEY_EXISTS: {
    text: 'A key of this id is already held with other properties.',
    advice: 'Use the existing key or ask for a new id.',
  },
  KEY_STATE: {
    text: 'The key is in a state that does not allow this.',
    advice: 'See its history with `carnet key show`; suspended keys wait for the migration to end.',
  },
  SPARE_MISSING: {
    text: 'The ledger says that this key is held here, and neither a record nor a spare of it is there.',
    advice:
      'Bring back the spares (`spares` in the state directory of any replica) and start the broker, restore a newer database, or recover the key with `carnet key escrow`. While the source has not retired, the VM is safe there. If the VM was deleted here since, nothing is amiss.',
  },
  SPARE_BROKEN: {
    text: 'The spare of a key is torn, was changed, or is of another holding or tenant.',
    advice:
      'Bring back the file from another replica or a backup, or recover the key with `carnet key escrow`; find out who writes there.',
  },
  SPARE_AMBIGUOUS: {
    text: 'Two spares say that they replace the same key.',
    advice:
      'Only one was given to the host. Compare the times of the two files with the log of the host, and take the other away.',
  },
  KEY_TRANSITION_ILLEGAL: {
    text: 'This change of key state is not allowed by NIST SP 800-57.',
    advice: 'Take the steps between; the table is in libs/keys/README.md.',
  },
  KEY_IN_USE: { text: 'The key still has consumers.', advice: 'Remove the consumers first, or keep the key.' },
  CONSUMER_FOREIGN: {
    text: 'The key belongs to another VM.',
    advice: 'Name the VM that `carnet key show` names; another VM has keys of its own.',
  },
  KEY_MOVING: {
    text: 'A migration that has not ended is handing this key over.',
    advice: 'Cancel the migration or wait for its end: until then both sides rely on the state that the key has.',
  },
  KEY_USE_UNGRANTED: {
    text: 'Nobody may use this key so: who asks, why, or for which VM does not fit what the records say.',
    advice:
      'Check the role of the principal, that the VM is a consumer of the key (`carnet key show`), and that the migration is its own.',
  },
  KEY_NOT_SHARED: {
    text: 'A peer speaks of a key that no migration handed over between it and us.',
    advice: 'Nothing was noted. Ask the peer what it meant; if it repeats, treat it as hostile.',
  },
  KEY_REPORTS_FULL: {
    text: 'A peer has reported more states of its keys than are kept of one peer.',
    advice: 'Nothing was noted; that a key is compromised is noted always. Ask the peer why it reports so much.',
  },
  KEY_TENANT_DIFFERS: {
    text: 'The keys belong to different tenants.',
    advice: 'One VM belongs to one tenant; check how its disks were registered.',
  },
  KEY_BOUND_DIFFERS: {
    text: 'The key record says something else about its artifact.',
    advice: 'Compare artifact, kind, size and derivation with the record; nothing was sealed.',
  },
  MEMORY_KEY_USED: {
    text: 'A memory key serves one migration only and this one is spent.',
    advice: 'Create a new memory key for this attempt.',
  },
  // at rest
  KEK_UNKNOWN: { text: 'No KEK of this tenant and version.', advice: 'The database misses rows: restore it, then start again.' },
  KEK_DESTROYED: {
    text: 'The KEK that this was wrapped under was destroyed meanwhile by a rotation.',
    advice: 'Retried automatically; ask again if it was your request.',
  },
  PROJECT_UNKNOWN: {
    text: 'No key of this project is held here.',
    advice: 'See the projects in `carnet key list`.',
  },
  ROTATION_UNKNOWN: {
    text: 'No rotation of this project leads to this KEK version.',
    advice: 'Run `carnet key rotate PROJECT` again: it finishes what was begun.',
  },
  KEK_UNOPENABLE: {
    text: 'A tenant KEK does not open under this root.',
    advice: 'Root file and database do not belong together, or a row was changed.',
  },
  KEY_UNOPENABLE: {
    text: 'A DEK does not open under its KEK.',
    advice: 'A row was changed or moved: restore the database and treat the writer as hostile.',
  },
  KEY_ZEROED: {
    text: 'A key is empty where it is about to be used.',
    advice: 'This is a bug of this program: stop, keep the database as it is, and report it.',
  },
  DEPOSIT_UNOPENABLE: {
    text: 'The kept secrets of a deposit do not open.',
    advice: 'A row was changed: withdraw the migration.',
  },
  MIGRATION_KEY_UNOPENABLE: {
    text: 'The private key of a migration does not open.',
    advice: 'A row was changed, or the public key of the offer is not ours: relinquish.',
  },
  // source
  DEPOSIT_UNKNOWN: { text: 'No deposit of this migration and epoch.', advice: 'Deposit first; check migration and epoch.' },
  SECOND_DEPOSIT: {
    text: 'This epoch already has a deposit with other content.',
    advice: 'One Krel per epoch: withdraw and start a new attempt.',
  },
  DEPOSIT_STATE: { text: 'The deposit is past or before this step.', advice: 'Fold the ledgers again: the command is stale.' },
  DEPOSIT_DIFFERS: {
    text: 'The event cites another deposit.',
    advice: 'Compare the digests: the peer is wrong or the command is stale.',
  },
  ACKNOWLEDGEMENT_INCOMPLETE: {
    text: 'The acknowledgement does not have one MAC for each key in order.',
    advice: 'Withdraw: the target does not hold all keys.',
  },
  ACKNOWLEDGEMENT_MAC_WRONG: {
    text: 'A key confirmation MAC is wrong.',
    advice: 'Withdraw: the target does not hold the deposit it acknowledges.',
  },
  ACKNOWLEDGEMENT_DIFFERS: {
    text: 'Another acknowledgement was confirmed.',
    advice: 'Compare the digests; never release on an unconfirmed acknowledgement.',
  },
  SECOND_RELEASE: {
    text: 'This epoch was already released with other content.',
    advice: 'The stored bytes are the only release of this epoch.',
  },
  PUBLIC_KEY_INVALID: {
    text: "The recipient's public key is of no KEM that is used here.",
    advice: 'Withdraw: the offer is unusable.',
  },
  PROFILE_NEEDS_TOKEN: {
    text: 'Profile hsm needs a root key in a PKCS#11 token.',
    advice: 'Set `[keys] backend = "pkcs11"`, or `[profile] arriving = "hybrid"`.',
  },
  PROFILE_DIFFERS: {
    text: 'The public key in the offer is not of the KEM that the offer names.',
    advice: 'The peer errs or lies: nothing was sealed. Ask its operator.',
  },
  PROFILE_NOT_ACCEPTED: {
    text: "The peer would have this VM's keys sealed in a profile that this CSP does not accept.",
    advice: 'Agree with the peer on one: its `[profile] arriving` must be among our `[profile] leaving`.',
  },
  DEPOSIT_EXPIRED: {
    text: 'The validity of the deposit has passed.',
    advice: 'Relinquish or withdraw; a new attempt makes a new deposit.',
  },
  // target
  MIGRATION_KEY_UNKNOWN: {
    text: 'No key pair was made for this migration and epoch.',
    advice: 'Check migration and epoch; a late command of an older attempt is refused.',
  },
  MIGRATION_KEY_EXISTS: {
    text: 'This migration already has a key pair of another epoch or tenant.',
    advice: 'Each attempt is a migration of its own.',
  },
  MIGRATION_KEY_DESTROYED: {
    text: 'The private key of this migration is destroyed.',
    advice: 'Nothing can be opened any more; a new attempt is needed.',
  },
  OFFER_DIFFERS: { text: 'The deposit cites another offer.', advice: 'Relinquish: it is not for this attempt.' },
  AGREED_DIFFERS: { text: 'The deposit cites another agreement.', advice: 'Relinquish: it is not for this attempt.' },
  PUBLIC_KEY_DIFFERS: {
    text: 'The offer named another public key than the one made for this migration.',
    advice: 'Fold the ledgers again.',
  },
  ARTIFACT_UNKNOWN: {
    text: 'The deposit holds a key for an artifact that the intent does not name.',
    advice: 'Relinquish: the deposit is not of this VM.',
  },
  ARTIFACT_MISSING: {
    text: 'The deposit lacks the key of an artifact of the intent.',
    advice: 'Relinquish: the VM could not start.',
  },
  ARTIFACT_KEY_DIFFERS: { text: 'The deposit names another key for an artifact than the intent.', advice: 'Relinquish.' },
  ARTIFACT_CAPACITY_DIFFERS: {
    text: 'The deposit names another capacity for an artifact than the intent.',
    advice: 'Relinquish: a key must not be moved to another volume.',
  },
  KEY_HELD: {
    text: 'A key of this id is already held here.',
    advice: 'Relinquish: a peer must not shadow a key that another VM uses, nor bring one back under an old epoch.',
  },
  DERIVATION_UNFIT: {
    text: 'This kind of artifact is not opened by a key of this derivation.',
    advice: 'Disks take LUKS passphrases, states take streams.',
  },
  KEY_REPEATED: { text: 'A key or artifact appears twice.', advice: 'Relinquish: one key opens one artifact.' },
  SECOND_ACKNOWLEDGEMENT: {
    text: 'Another deposit was already acknowledged for this migration.',
    advice: 'One deposit per epoch: the second is void.',
  },
  DEPOSIT_CONTEXT_MISMATCH: {
    text: 'A deposited key does not open under the context of this migration.',
    advice: 'Relinquish: ciphertext or context was changed, exchanged or replayed.',
  },
  RELEASE_CONTEXT_MISMATCH: {
    text: 'The release does not open under the context of this migration.',
    advice: 'Relinquish with this code; the source may resume.',
  },
  RELEASE_INCOMPLETE: { text: 'The release does not carry one check value for each key.', advice: 'Relinquish.' },
  COMMIT_MISMATCH: {
    text: 'The released Krel is not the one committed to.',
    advice: 'Relinquish: the source changed the key after the deposit. Keep both events.',
  },
  KEY_UNWRAP_FAILED: { text: 'A key does not unwrap under Krel.', advice: 'Relinquish.' },
  CHECK_VALUE_MISMATCH: { text: 'A key check value differs.', advice: 'Relinquish.' },
  ROOTS_DIFFER: {
    text: 'The release names other roots than those verified here.',
    advice: 'Relinquish: it is not the image that was checked.',
  },
  SECOND_RELEASE_OPENED: { text: 'Another release was already opened for this migration.', advice: 'One release per epoch.' },
  IMPORT_STATE: { text: 'The import is past or before this step.', advice: 'Fold the ledgers again: the command is stale.' },
  // host
  HOST_SEAL_INVALID: { text: 'The sealed keys are malformed.', advice: 'Ask the broker for the command again.' },
  HOST_CONTEXT_MISMATCH: {
    text: 'The sealed keys do not open for this host, VM, epoch and purpose.',
    advice: 'The command was changed or is for another host: refuse it.',
  },
  PURPOSE_REFUSED: {
    text: 'A key in this state may not be given to a host for this purpose.',
    advice: 'Before import only a trial unlock is possible; a suspended key is given to nobody.',
  },
  ...BACKEND_CODES,
  ...ESCROW_CODES,
  // child process
  CHILD_FAILED: {
    text: 'The key process ended before it answered.',
    advice: 'Retried automatically; if it repeats, check memory limits of the service.',
  },
  CHILD_TIMEOUT: {
    text: 'The key process did not answer in time and was killed.',
    advice: 'Retried automatically; the machine may be overloaded.',
  },
  CHILD_BUSY: { text: 'Too many key operations wait.', advice: 'Retried automatically; lower the number of migrations at once.' },
  CHILD_PROTOCOL: {
    text: 'A message between service and key process is malformed.',
    advice: 'Both come from one installation: reinstall, and report this.',
  },
  CLOSED: { text: 'The key manager is closed.', advice: 'The service is stopping.' },
  INPUT_INVALID: { text: 'The request is malformed.', advice: 'See the field named in the text.' },
} as const satisfies Record<string, { readonly text: string; readonly advice: string }>;
