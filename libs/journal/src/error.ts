/** Faults, never refusals: a bug of the caller, or our own deployment. */
export type JournalErrorCode =
  /** A drafted event would be refused by its audience; nothing was decided. */
  | 'DRAFT_REFUSED'
  /** The event key that this journal signs with was revoked in its own ledger. */
  | 'OWN_KEY_REVOKED'
  /** The database breaks an invariant of the ledgers. */
  | 'LEDGER_BROKEN'
  /** A delivery of a peer that is not configured. */
  | 'PEER_UNCONFIGURED'
  /** The head file cannot be read, is damaged or contradicts itself: it must be whole or be absent, never guessed. */
  | 'HEAD_FILE_BROKEN';

export class JournalError extends Error {
  readonly code: JournalErrorCode;

  constructor(code: JournalErrorCode, detail: string, options?: ErrorOptions) {
    super(`${code}: ${detail}`, options);
    this.name = 'JournalError';
    this.code = code;
  }
}
