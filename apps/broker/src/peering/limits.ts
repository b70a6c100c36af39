/** Every bound of adding peers by invitation, with its reason. */

/** Bytes of an invitation's secret: 256 bits, so that nobody guesses and no salt is needed. */
export const SECRET_BYTES = 32;
/** Bytes of an invitation's id, which is no secret. */
export const INVITATION_ID_BYTES = 8;
/** Bytes of each side's nonce: an exchange is never the one before. */
export const NONCE_BYTES = 32;
/** Characters of an invitation that are read at all: domains and address at their longest. */
export const INVITATION_CHARS_MAX = 2_048;
/** Characters of the address in an invitation. */
export const URL_CHARS_MAX = 255;
/** Life of an invitation, in hours, unless it is said, and at most: whoever finds an old mail finds nothing that counts. */
export const INVITATION_HOURS = 24;
export const INVITATION_HOURS_MAX = 168;
/** Invitations that are open at once. */
export const INVITATIONS_OPEN_MAX = 32;
/** Invitations in one answer, ended ones included. */
export const INVITATIONS_LISTED_MAX = 200;
/** Invitations that ended this long ago, in ms, are forgotten when the next is made: what was confirmed says by whom, without them. */
export const INVITATIONS_KEPT_MS = 90 * 86_400_000;
/** Wrong proofs after which an invitation is spent: a right one comes at the first. */
export const PROOFS_WRONG_MAX = 5;
/** Peers of a broker, those of its configuration included. */
export const PEERS_MAX = 64;
/** An exchange that nobody confirmed is worth nothing after this long, in ms. */
export const UNCONFIRMED_MS_MAX = 7 * 86_400_000;
/** A revocation list that is sent to a peer, in bytes; a CSP with more brings it as a file. */
export const CRL_SENT_BYTES_MAX = 131_072;
/** One answer of the other side, in bytes: its card. */
export const ANSWER_BYTES_MAX = 262_144;
/** Time for one answer of the other side, in ms. */
export const ANSWER_MS_MAX = 10_000;
/** Peerings are looked at this often, in ms: what another replica or the other side confirmed is known within seconds. */
export const LOOK_MS = 2_000;
/** Revocation lists are exchanged with a trusted peer this often, in ms. */
export const EXCHANGE_MS = 30_000;
/** Requests that one CSP may make at the door in `DOOR_WINDOW_MS`: an exchange takes two, a look every two seconds five. */
export const DOOR_REQUESTS_MAX = 60;
export const DOOR_WINDOW_MS = 10_000;
/** Domains whose requests are counted at once; only holders of a certificate of the federation are. */
export const DOOR_DOMAINS_MAX = 256;
/** Digits of the code that people compare: 99 bits, so that no one finds an exchange with the same by trying. */
export const CODE_DIGITS = 30;
