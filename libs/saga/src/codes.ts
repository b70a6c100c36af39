/** Why an event is void, or why a proposal is refused. Stable: ledgers, audits and people quote them. */
export type VoidCode =
  | 'ALREADY_MOVING'
  | 'ALREADY_RELEASED'
  | 'ALREADY_STARTED'
  | 'ARTIFACTS_DIFFER'
  | 'CITATION_MISMATCH'
  | 'CITATION_MISSING'
  | 'EPOCH_MISMATCH'
  | 'EPOCH_REUSED'
  | 'HEADER_UNCHANGED'
  | 'HOST_DIFFERS'
  | 'KEYS_DIFFER'
  | 'MIGRATION_REUSED'
  | 'MIGRATION_UNKNOWN'
  | 'NEVER_MISSING'
  | 'PEER_ANSWERED'
  | 'PREVIOUS_OPEN'
  | 'REKEY_OWED'
  | 'REKEY_WEAKER'
  | 'ROOTS_DIFFER'
  | 'ROUND_UNEXPECTED'
  | 'SECOND_DEPOSIT'
  | 'TOO_EARLY'
  | 'TOO_LATE'
  | 'VM_MISMATCH'
  | 'VM_NOT_HERE'
  | 'WRONG_PHASE'
  | 'WRONG_PUBLISHER';

/** What `decide` refuses beyond what the fold would void: lawful, but pointless or too close to a limit. */
export type RefusalCode = VoidCode | 'PEER_GAVE_UP';

/** A sentence and what to do next, for `carnet error CODE`. */
export const CODES: Readonly<Record<RefusalCode, { readonly text: string; readonly advice: string }>> = {
  ALREADY_MOVING: { text: 'The VM is in another migration of this pair.', advice: 'Wait for it to end, or cancel it.' },
  ALREADY_RELEASED: {
    text: 'The keys are released: the source cannot withdraw any more.',
    advice: 'Wait for the target to start the VM or to relinquish it.',
  },
  ALREADY_STARTED: { text: 'The VM started at the target.', advice: 'Migrate it back: a new migration in the other direction.' },
  ARTIFACTS_DIFFER: {
    text: 'The sealed artifacts are not those of the VM and its deposit.',
    advice: 'Seal exactly the artifacts whose keys were deposited; mode suspend needs the memory state too.',
  },
  CITATION_MISMATCH: {
    text: 'A cited event is not the valid event of that kind in this migration.',
    advice: 'Compare both ledgers with `carnet audit verify`.',
  },
  CITATION_MISSING: {
    text: 'The event does not cite what it relies on.',
    advice: 'Its publisher has a defect: report it to the peer.',
  },
  EPOCH_MISMATCH: {
    text: 'The event carries another epoch than its migration.',
    advice: 'Its publisher has a defect: report it to the peer.',
  },
  EPOCH_REUSED: { text: 'The epoch is not above all epochs seen.', advice: 'Ask again: a new attempt takes a new epoch.' },
  HEADER_UNCHANGED: {
    text: 'A volume still has the header that the source knows, or another one arrived than was deposited.',
    advice: 'Its publisher has a defect or lies: take the volume for one that the source can open.',
  },
  HOST_DIFFERS: {
    text: 'The start is authorised on another host than the one offered.',
    advice: 'Start on the pinned host, or relinquish.',
  },
  KEYS_DIFFER: {
    text: 'The keys are not those of the VM or of the deposit.',
    advice: 'Every disk needs exactly one key; relinquish or withdraw.',
  },
  MIGRATION_REUSED: { text: 'The migration id was used before.', advice: 'Ask again with a new id.' },
  MIGRATION_UNKNOWN: { text: 'No valid migration of that id.', advice: 'Check the id with `carnet migration list`.' },
  NEVER_MISSING: {
    text: 'The target may not give up without evidence that its host will never start this epoch.',
    advice: 'Bring the host back: its agent records it and the target then relinquishes.',
  },
  PEER_ANSWERED: {
    text: 'The target has answered the release.',
    advice: 'Break no glass: see `carnet migration doctor`; it goes on, or comes back, by itself.',
  },
  PEER_GAVE_UP: { text: 'The peer has ended this migration.', advice: 'Nothing: the side winds down by itself.' },
  PREVIOUS_OPEN: { text: 'The previous migration has not ended on both ledgers.', advice: 'Wait for the peer to end it.' },
  REKEY_OWED: {
    text: 'The start is authorised before the volumes were re-keyed as agreed.',
    advice: 'The peer does less than it offered: hold it to its offer, and take the old keys for good.',
  },
  REKEY_WEAKER: {
    text: 'Less re-keying on arrival than was demanded or agreed.',
    advice: 'Ask for less with `--rekey`, or have the peer raise its minimum.',
  },
  ROOTS_DIFFER: {
    text: 'The roots are not those that were sealed and verified.',
    advice: 'The image changed on its way: the migration rolls back.',
  },
  ROUND_UNEXPECTED: {
    text: 'This mode has one round, number 0, final.',
    advice: 'Its publisher has a defect: report it to the peer.',
  },
  SECOND_DEPOSIT: { text: 'The keys were deposited before.', advice: 'Nothing: the first deposit counts.' },
  TOO_EARLY: {
    text: 'The glass may not be broken yet: the target still has time to answer.',
    advice: 'See `carnet migration doctor` for the time.',
  },
  TOO_LATE: { text: 'The time agreed for this step is over.', advice: 'The migration winds down; ask again with more time.' },
  VM_MISMATCH: { text: 'The intent names another VM.', advice: 'Its publisher has a defect: report it to the peer.' },
  VM_NOT_HERE: { text: 'The publisher does not hold this VM.', advice: 'Ask the CSP where the VM runs.' },
  WRONG_PHASE: {
    text: 'The side is not in a phase that allows this step.',
    advice: 'See the phases with `carnet migration show`.',
  },
  WRONG_PUBLISHER: {
    text: 'This side may not publish this event.',
    advice: 'The peer lies or has a defect: compare both ledgers.',
  },
};
