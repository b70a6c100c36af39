/** Random bytes of an API key: nobody guesses it, so its plain SHA-256 may lie in the database. */
export const API_KEY_SECRET_BYTES = 32;
export const API_KEY_ID_BYTES = 8;
/** Days that a key lives at most: whoever left, or leaked it, is out within a year. */
export const API_KEY_DAYS_MAX = 366;
/** Keys that this CSP keeps, ended ones included: the list is answered whole. */
export const API_KEYS_MAX = 10_000;
/** `lastUsedAt` is written at most so often, in milliseconds: a busy scheduler must not write a row with each request. */
export const API_KEY_USE_NOTED_MS = 60_000;
/** Milliseconds for one answer of an identity provider. */
export const ISSUER_ANSWER_MS_MAX = 5_000;
/** Bytes of one answer of an identity provider: a discovery document or a key set. */
export const ISSUER_ANSWER_BYTES_MAX = 262_144;
/** Milliseconds after a failure in which the provider is not asked again: its users must not make us hammer it. */
export const ISSUER_REST_MS = 5_000;
/** Seconds by which an issuer's clock may differ from ours. */
export const CLOCK_TOLERANCE_SECONDS = 30;
/** Milliseconds for which Keystone's word on a token is kept: so long one that was revoked goes on, and a busy client is judged once. */
export const KEYSTONE_WORD_MS = 5_000;
/** Words kept at once; beyond it the oldest goes. */
export const KEYSTONE_WORDS_MAX = 1_000;
/** Tokens that Keystone is asked about at once: whoever invents tokens must not make us hammer it. */
export const KEYSTONE_QUESTIONS_MAX = 32;
/** Of them, those from one client address: one that invents tokens must not keep others out. */
export const KEYSTONE_QUESTIONS_OF_ONE_MAX = 8;
/** Milliseconds for one answer about a token. */
export const KEYSTONE_ANSWER_MS_MAX = 5_000;
/** Milliseconds after a failure in which Keystone is not asked again. */
export const KEYSTONE_REST_MS = 2_000;
/** Projects and roles of one Keystone that are mapped: a person has to be able to read the file. */
export const KEYSTONE_NAMES_MAX = 500;
