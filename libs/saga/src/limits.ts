/** Milliseconds between a decision and the event's own time: the journal stamps it later, under the ledger's lock. */
export const APPEND_MARGIN_MS = 5_000;

/**
 * Milliseconds that an event of the peer, published in time, may still be on its way, clock skew included. The side that
 * waits gives up only after them; giving up earlier is safe, but loses migrations for nothing.
 */
export const DELIVERY_GRACE_MS = 30_000;
