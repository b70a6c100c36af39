/** Every bound of the HTTP doors, with its reason. */

/** Bytes of one request's body: a signed intent is below 200 KiB; nobody posts more to a broker. */
export const BODY_BYTES_MAX = 262_144;
/** Milliseconds for a whole request to arrive: a client that trickles its bytes is let go. */
export const REQUEST_MS_MAX = 30_000;
/** Characters of one path parameter: a trust domain has at most 253. */
export const PARAMETER_CHARS_MAX = 300;
/** Rows of one answer; readers page with `after`. */
export const ROWS_MAX = 1_000;
/** Rows of one answer to a reader who did not say. */
export const ROWS_DEFAULT = 100;
/** Characters of a cursor: one sequence for each of two ledgers with each peer that there ever was, some hundreds, and the number that says which ledgers they are. */
export const CURSOR_CHARS_MAX = 8_192;
/** Events read at once while following; the reader's socket sets the pace. */
export const FOLLOW_BATCH = 200;
/** Milliseconds between comment lines of a quiet stream: they keep proxies awake and find dead connections. */
export const KEEPALIVE_MS = 15_000;
/** Characters of one refusal's text. */
export const FAULTS_CHARS_MAX = 500;
/** Milliseconds after which whoever reads a stream is judged again, in the middle of it. A token that was revoked reads on for so long. */
export const JUDGED_FOR_MS = 10_000;
/** Streams that one principal has open at once, at one door of one replica: a console shares one among its readers. */
export const STREAMS_MAX = 32;
/** Plans that one principal has under way, at one door of one replica: each asks a host, and somebody compares a VM's few targets with each other. */
export const PLANS_MAX = 8;
