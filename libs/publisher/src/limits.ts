/** A broker that has not answered by then is taken for unreachable; asking again is safe. */
export const ANSWER_MS_MAX = 30_000;
/** Answers are pages of rows; more than this is a broker gone wrong. */
export const ANSWER_BYTES_MAX = 67_108_864;
/** Tries of a request that is safe to repeat, the first included. */
export const TRIES_MAX = 4;
export const RETRY_MS_FIRST = 250;
/** One line of a stream: an event's envelope twice over, with room. */
export const LINE_BYTES_MAX = 1_048_576;
