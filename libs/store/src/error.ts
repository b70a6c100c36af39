/** Why a store could not be opened or used. Stable: an operator can look one up. */
export type StoreErrorCode =
  | 'STORE_LOCKED'
  | 'STORE_UNREACHABLE'
  | 'STORE_REFUSED'
  | 'SCHEMA_NEWER'
  | 'CHANGES_FAILED'
  | 'CHANGES_INVALID';

export const STORE_ERRORS: Readonly<Record<StoreErrorCode, { readonly text: string; readonly advice: string }>> = {
  STORE_LOCKED: {
    text: 'Another process has the embedded database open.',
    advice: 'Stop that process, or give both the same PostgreSQL through CARNET_DATABASE_URL.',
  },
  STORE_UNREACHABLE: {
    text: 'The database does not answer.',
    advice: 'Check that PostgreSQL runs and that CARNET_DATABASE_URL names it.',
  },
  STORE_REFUSED: {
    text: 'The database refuses this user, or does not exist.',
    advice: 'Check user, password and database name in CARNET_DATABASE_URL; waiting does not help.',
  },
  SCHEMA_NEWER: {
    text: 'A newer version took away what this one needs of the database schema.',
    advice: 'Start the newer version. An older one needs a database from before that change.',
  },
  CHANGES_FAILED: {
    text: 'A change of the database schema failed; it was rolled back.',
    advice: 'Read the cause; the tables are as they were before.',
  },
  CHANGES_INVALID: {
    text: 'The list of schema changes is not in order.',
    advice: 'This is a fault of the program: report it.',
  },
};

export class StoreError extends Error {
  readonly code: StoreErrorCode;

  constructor(code: StoreErrorCode, detail: string, options?: ErrorOptions) {
    super(`${STORE_ERRORS[code].text} ${detail}`, options);
    this.name = 'StoreError';
    this.code = code;
  }
}

/**
 * SQLSTATE of what is worth repeating on a healthy database (PostgreSQL, appendix A): class 08 connections, 40001 and 40P01 lost races,
 * 25P03, 55P03 and 57014 waited for too long (our own limits on statements, locks and transactions), and what passes once its operator has helped it:
 * class 53 no disk, memory or connections left, 57P01–57P03 and 57P05 shutdown, crash, starting up, idle session, 58030 a failed read or write.
 */
const RETRYABLE_SQLSTATE = /^(08...|25P03|40001|40P01|53...|55P03|57014|57P0[1235]|58030)$/;
/** Class 28 wrong user or password, 3D000 no such database, 42501 no right to use it: these do not pass by themselves. */
const REFUSED_SQLSTATE = /^(28...|3D000|42501)$/;
export const isRefusal = (cause: unknown): boolean =>
  cause instanceof Error && 'code' in cause && typeof cause.code === 'string' && REFUSED_SQLSTATE.test(cause.code);
const RETRYABLE_ERRNO = new Set(['ECONNREFUSED', 'ECONNRESET', 'EPIPE', 'ENOENT', 'ETIMEDOUT', 'EHOSTUNREACH', 'ENETUNREACH']);
/** What `pg` throws where `query_timeout` is over. */
const UNANSWERED = 'Query read timeout';
export const isUnanswered = (cause: unknown): boolean => cause instanceof Error && cause.message === UNANSWERED;

/** `pg` throws these without any code: its texts are the only mark (pg 8.23: client.js, pg-pool). */
const RETRYABLE_TEXTS = [
  'Connection terminated',
  'timeout exceeded when trying to connect',
  'Client has encountered a connection error and is not queryable',
  'Client was closed and is not queryable',
  UNANSWERED,
];

/** Whether the database was lost or the transaction lost a race: the same work may succeed later. Anything else is a bug or a refusal. */
export function isRetryable(cause: unknown): boolean {
  if (!(cause instanceof Error)) return false;
  if (cause instanceof StoreError && cause.code === 'STORE_UNREACHABLE') return true;
  const code = 'code' in cause && typeof cause.code === 'string' ? cause.code : undefined;
  if (code !== undefined && (RETRYABLE_SQLSTATE.test(code) || RETRYABLE_ERRNO.has(code))) return true;
  return RETRYABLE_TEXTS.some((text) => cause.message.includes(text)) || isRetryable(cause.cause);
}
