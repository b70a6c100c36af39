/** Secrets of one page, and of one that did not say: Barbican's own numbers, which its clients rely on. */
export const PAGE_MAX = 100;
export const PAGE_DEFAULT = 10;
/** Characters of a name that is asked for: Barbican's column. */
export const NAME_CHARS_MAX = 255;
