/** Every bound of this lib, with its reason. Lengths of chains and certificates on the wire are in `@carnet/events`. */

/** Bits of RSA moduli that we create: 128-bit security until 2030 and beyond (NIST SP 800-57 part 1, table 2). */
export const RSA_BITS = 3_072;
/** Smallest modulus that we accept. */
export const RSA_BITS_MIN = 3_072;
/** Largest modulus that we accept: verifying grows with its square, and a peer chooses it. */
export const RSA_BITS_MAX = 8_192;
/** Public exponent that we create, and the smallest that we accept. */
export const RSA_EXPONENT = 65_537;
/** Octets of a serial number (RFC 5280, section 4.1.2.2). */
export const SERIAL_BYTES_MAX = 20;
/** Octets of the serial numbers that we create: 128 random bits. */
export const SERIAL_BYTES = 16;
/** Octets of RSASSA-PSS salt: that of its hash (RFC 8017, section 9.1). */
export const PSS_SALT_BYTES = 32;
/** Characters of a commonName (RFC 5280, ub-common-name). */
export const COMMON_NAME_CHARS_MAX = 64;
/** One CRL, in bytes: some 100,000 revoked certificates. A larger one is refused before it is parsed. */
export const CRL_BYTES_MAX = 4_194_304;
/** Certificates taken from one TLS handshake, root included: one more than an event may carry, so that too many are noticed. */
export const TLS_CHAIN_MAX = 5;
/** Names in one certificate: a leaf has one URI and a few DNS names. */
export const NAMES_MAX = 32;
/** Parsed certificates remembered: every host of both CSPs; a peer that sends more makes us parse again, no worse. */
export const CERTIFICATES_REMEMBERED_MAX = 256;

/** Issuers whose CRL numbers are remembered: the root, and the intermediates, old and new, of every CSP that one meets. */
export const CRL_ISSUERS_MAX = 1_024;

const DAY_MS = 86_400_000;
/** Life of the development federation's root, in milliseconds. */
export const DEV_ROOT_MS = 3_650 * DAY_MS;
/** Life of its intermediates, in milliseconds. */
export const DEV_INTERMEDIATE_MS = 730 * DAY_MS;
/** Life of its leaves, in milliseconds. */
export const DEV_LEAF_MS = 90 * DAY_MS;
/** Time until its CRLs are stale, in milliseconds. */
export const DEV_CRL_MS = 30 * DAY_MS;
/** Certificates and CRLs begin this much in the past, in milliseconds: peers' clocks differ. */
export const BACKDATE_MS = 300_000;
/** CRLs in files are looked at again this often, in milliseconds: a revocation cuts a peer off within 10 s. */
export const CRL_RECHECK_MS = 2_000;

/** One certificate request, in bytes: RSA-8192 and a full list of names. */
export const CSR_BYTES_MAX = 16_384;
/** Lines in one register: ten years of a CSP with 1,000 hosts whose leaves live for a month. */
export const REGISTER_LINES_MAX = 1_000_000;
/** Shortest passphrase of an authority's key, in characters: PKCS #8 as Node writes it slows a guesser down little. */
export const PASSPHRASE_CHARS_MIN = 20;
/** Life of a root, an issuing authority, a leaf and a CRL unless it is said, in milliseconds. */
export const ROOT_MS = 3_650 * DAY_MS;
export const ISSUER_MS = 730 * DAY_MS;
export const LEAF_MS = 30 * DAY_MS;
export const CRL_MS = 7 * DAY_MS;
/** Share of a leaf's life after which it is renewed: the rest is for an issuer that is down, and for what pinned the old leaf. */
export const RENEW_AFTER = 2 / 3;
/** Share before which no leaf is renewed: clocks and schedules differ, and whoever stole a key must not hurry ahead of its owner. */
export const RENEW_FROM = 1 / 2;
/** A lock that is held is looked at again this often, in milliseconds. */
export const LOCK_LOOK_MS = 10;
/** Time for another process to be done with a leaf's files or a register, in milliseconds: some flushes of a busy disk. */
export const BUSY_MS_MAX = 500;
/** One answer of an issuing authority, in bytes: a leaf and its issuers. */
export const CERTS_ONLY_BYTES_MAX = 65_536;
/** Time for one answer of an issuing authority, in milliseconds. */
export const ISSUER_ANSWER_MS_MAX = 15_000;
/** A leaf's files are looked at again this often, in milliseconds. */
export const LEAF_LOOK_MS = 2_000;
/** After an attempt to renew, the next comes after this share of what is left, and not sooner than so many milliseconds. */
export const RENEW_AGAIN_SHARE = 1 / 20;
export const RENEW_AGAIN_MS_MIN = 3_000;
