/** Every bound of the store, with its reason. */

/** Connections of one process. Two replicas, a console and an audit stay below PostgreSQL's default of 100. */
export const POOL_CONNECTIONS_MAX = 12;
/** Waiting for a free or new connection, in ms: a database that is gone must fail a caller, not hang it. */
export const CONNECT_MS_MAX = 5_000;
/** One statement, in ms. Ours are single-row or bounded by a limit; what runs longer is stuck. */
export const STATEMENT_MS_MAX = 15_000;
/** The answer to a statement, in ms, seen from here: later than the server's own end of it, so only a server that is not heard misses it. */
export const ANSWER_MS_MAX = STATEMENT_MS_MAX + 5_000;
/** The answer to a lease, in ms, which waits for nothing at the server: all leases of a connection that does not answer are given up. */
export const LEASE_ANSWER_MS_MAX = 10_000;
/** The answer to LISTEN, in ms, which waits for nothing either: after it another connection is tried. */
export const LISTEN_ANSWER_MS_MAX = 10_000;
/** A transaction left open without a statement, in ms: it would hold a ledger's head lock against every replica. */
export const IDLE_IN_TRANSACTION_MS_MAX = 30_000;
/** First and longest pause between attempts to reopen a listening connection, in ms. */
export const RELISTEN_MS_FIRST = 100;
export const RELISTEN_MS_MAX = 5_000;
/** TCP keep-alive idle time on connections that wait for notices or hold leases, in ms: a silent peer is noticed. */
export const KEEPALIVE_MS = 5_000;
/**
 * How long the server waits for whoever is silent: seconds, seconds and probes while nothing is under way, milliseconds while something is (tcp(7)). A
 * replica's machine that loses power gives its leases up within 20 s, by Linux's defaults within two hours.
 */
export const SERVER_PATIENCE = {
  keepalives_idle: 10,
  keepalives_interval: 5,
  keepalives_count: 2,
  user_timeout: 20_000,
} as const;
