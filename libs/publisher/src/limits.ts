/** Every bound of the client, with its reason. */

/** Milliseconds for one answer: a broker that has not answered by then is taken for unreachable; asking again is safe. */
export const ANSWER_MS_MAX = 30_000;
/** Milliseconds for work on a host that is asked for once and not repeated: a broker gives a host 300 s, and we give it room. */
export const ACTION_MS_MAX = 330_000;
/** Bytes of one answer: 1,000 events of 64 KiB, envelope in base64 beside. More than this is a broker gone wrong. */
export const ANSWER_BYTES_MAX = 268_435_456;
/** Tries of a request that is safe to repeat, the first included. */
export const TRIES_MAX = 4;
/** Milliseconds before the second try; each further pause is twice as long. */
export const RETRY_MS_FIRST = 250;
/** Milliseconds between tries to open a stream again: a broker that comes back is found within this. */
export const RETRY_MS_MAX = 5_000;
/** Milliseconds of silence after which a stream is taken for dead: three keepalives of the broker. */
export const SILENCE_MS_MAX = 45_000;
/** Characters of one line of a stream: an event's envelope twice over, with room. */
export const LINE_CHARS_MAX = 1_048_576;
