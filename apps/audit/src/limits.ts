/** Every bound of the auditor, with its reason. The size of an event is `EVENT_BYTES_MAX` in `@carnet/events`. */

/** Violations and notices that a report lists one by one; the rest is only counted, so that a hostile ledger cannot fill the report. */
export const FINDINGS_MAX = 1_000;
/** Characters of a foreign value that a report quotes. */
export const QUOTE_CHARS_MAX = 200;
/** Pinned agents whose key is remembered: every host of both CSPs; more only means to parse again. */
export const AGENTS_REMEMBERED_MAX = 256;
