/** Sockets of browsers that follow at once: one operator with many tabs. */
export const FOLLOWERS_MAX = 64;
/** Ledger entries kept for browsers that come back: a laptop that slept for some minutes goes on where it was. */
export const RECENT_ENTRIES_MAX = 2_000;
/** The same in characters of JSON: a peer that sends only large events must not fill this process. */
export const RECENT_CHARS_MAX = 32_000_000;
/** Key events kept per ledger. Beyond it signatures are shown as not verifiable, never as good. */
export const KEY_EVENTS_PER_LEDGER_MAX = 256;
/** Between probes of the broker, ms; browsers hear the outcome, and take silence of three such spans for stale data. */
export const PROBE_MS = 5_000;
/** Longest query string that is relayed, characters: a migration id and a number fit many times. */
export const QUERY_CHARS_MAX = 2_000;
/** Before a feed that the broker refused is tried again, ms. */
export const REFUSED_RETRY_MS = 5_000;
