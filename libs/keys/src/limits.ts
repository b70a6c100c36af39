/** Every bound of the key manager, with its reason. Sizes in bytes, times in milliseconds. */

/** Root, tenant KEKs, DEKs and Krel are AES-256 keys. */
export const KEY_BYTES = 32;
/** AES-256-KW of a 32-byte key (RFC 3394, section 2.2.1): one more 64-bit block. */
export const WRAPPED_KEY_BYTES = 40;
/** HKDF, HMAC and SHA-256 output. */
export const HASH_BYTES = 32;
/** AES-GCM as in NIST SP 800-38D, section 5.2: 96-bit nonce, full tag. Random nonces bound a KEK version to 2^32 wraps, far above any table. */
export const GCM_NONCE_BYTES = 12;
export const GCM_TAG_BYTES = 16;
/** KEM 0x647a: X25519 share and ML-KEM-768 ciphertext or public key. */
export const KEM_ENC_BYTES = 1_120;
export const KEM_PUBLIC_KEY_BYTES = 1_216;
export const KEM_PRIVATE_KEY_BYTES = 32;

/** KEM 0x0010: a public key and an encapsulation are each an uncompressed point. */
export const P256_POINT_BYTES = 65;

/** scrypt (RFC 7914): 128 MiB and about 0.4 s per guess; the root is opened once per process. */
export const SCRYPT_COST = 131_072;
export const SCRYPT_BLOCK_SIZE = 8;
export const SCRYPT_PARALLELIZATION = 1;
/** Below this a stolen root file is guessed too fast; above it a tampered file could exhaust memory (1 GiB). */
export const SCRYPT_COST_MIN = 16_384;
export const SCRYPT_COST_MAX = 1_048_576;
export const SCRYPT_SALT_BYTES = 16;
/** Memory that scrypt may take: 128 × r × N of the largest cost, and slack. */
export const SCRYPT_MEMORY_BYTES_MAX = 128 * SCRYPT_BLOCK_SIZE * SCRYPT_COST_MAX + 1_048_576;
/** A shorter passphrase falls to a word list whatever scrypt costs. */
export const PASSPHRASE_BYTES_MIN = 12;
/** A larger file is not a passphrase: a wrong path, such as a disk image, is refused before it is read. */
export const PASSPHRASE_BYTES_MAX = 4_096;
/** The sealed root is below 1 KiB; more is not our file. */
export const ROOT_FILE_BYTES_MAX = 4_096;

/** Header and secret of one message to or from the child: a deposit of 19 keys is about 40 KiB. */
export const FRAME_BYTES_MAX = 262_144;
/** Until the next answer, start of the child included; on two busy cores the slowest took 1.5 s. */
export const OPERATION_MS_MAX = 20_000;
/** V8 heap of the child. It holds some keys; a runaway ends soon. */
export const CHILD_HEAP_MIB_MAX = 96;
/** Requests under way in one child: its pipe stays full, and an accident of the child fails no more than these. */
export const IN_FLIGHT_MAX = 32;
/** A child takes no request after this: what it has opened is in the clear for so long, and for the requests then under way. A start costs 0.2 to 1 s of a core: at most a tenth. */
export const CHILD_SERVES_MS_MAX = 10_000;
/** It ends sooner when nothing comes: the operations of one migration follow each other within this, also on a machine that is busy. */
export const CHILD_IDLE_MS_MAX = 1_000;
/** Requests that wait for a child: 100 migrations at once, ten operations each. More is refused, not buffered. */
export const QUEUE_MAX = 1_000;
/** Reports kept of one key by one peer: a life has seven states, and the rest is suspended and active in turns. The newest count. */
export const REPORTS_OF_KEY_MAX = 32;
/** And of all its keys: a peer that shares a thousand keys reports each ten times. */
export const REPORTS_OF_PEER_MAX = 10_000;
/** Lines of keys' histories that an export reads at once: about 1 MiB. */
export const HISTORY_PAGE = 500;
/** Rows of one listing. */
export const LIST_MAX = 1_000;
/** Keys re-wrapped by one child when a tenant's KEK is rotated: stays below FRAME_BYTES_MAX. */
export const REWRAP_BATCH_MAX = 500;

/** One HTTP exchange with Barbican; the slowest seen (SQLite, busy machine) took 1.5 s. */
export const EXCHANGE_MS_MAX = 5_000;
/** Keystone compares the credential's secret by bcrypt, on purpose slowly. */
export const KEYSTONE_MS_MAX = 15_000;
/** One batch of the child with a Barbican behind it: each key takes up to five exchanges. */
export const REMOTE_OPERATION_MS_MAX = 60_000;
/** A page of one name with its references is below 64 KiB; more is not an answer to us. */
export const REPLY_BYTES_MAX = 262_144;
/** Secrets of one name: one, and what crashes left. */
export const FOUND_SECRETS_MAX = 50;
/** Fernet tokens have about 250 bytes; a token of the older PKI format could fill headers. */
export const TOKEN_BYTES_MAX = 4_096;
/** Application credentials' secrets have 86 characters when Keystone draws them. */
export const CREDENTIAL_BYTES_MIN = 12;
/** A private CA's certificates in PEM. */
export const CA_BYTES_MAX = 65_536;
/** A secret that was announced and has no key record after this long belongs to a creation that was given up. */
export const ORPHAN_MS = 3_600_000;
/** Secrets looked after in one round. */
export const SETTLE_BATCH_MAX = 100;
/** The PIN of a token (PKCS#11 leaves it to the token; 4 is SoftHSM's least). */
export const PIN_BYTES_MIN = 4;
/** Deposits and migration keys re-wrapped by one child: at most 900 base64 characters each, far below FRAME_BYTES_MAX. */
export const REWRAP_SECRETS_MAX = 100;

/** A custodian's clock before ours: people's machines are set by NTP, and minutes suffice. */
export const ENROLMENT_AHEAD_MS_MAX = 300_000;
/** With one who may open a key alone, an escrow would be a second key manager without guards. */
export const ESCROW_THRESHOLD_MIN = 2;
/** Blinds what is published of a share: a guess of the share cannot be checked against it. */
export const ESCROW_SALT_BYTES = 32;
/** Challenge of a drill. */
export const ESCROW_CHALLENGE_BYTES = 32;
/** A request or a drill that nobody finishes ends: custodians are people with holidays, but a month is no emergency. */
export const ESCROW_OPEN_MS_MAX = 30 * 86_400_000;
/** A custodian's key file is below 4 KiB; more is not ours. */
export const CUSTODIAN_FILE_BYTES_MAX = 8_192;
