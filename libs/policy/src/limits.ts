/** Rules, grants and patterns of one policy set: a person has to be able to read it. */
export const RULES_MAX = 500;
/** Characters of one pattern: a SPIFFE ID with room. */
export const PATTERN_CHARS_MAX = 400;
