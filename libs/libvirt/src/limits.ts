/*
 * Limits of the wire are libvirt's own, so that whatever one side may send the other can hold;
 * limits of time and concurrency are ours, each with its reason.
 */

/** A packet without its length word (virnetprotocol: maximum total message). */
export const MESSAGE_BYTES_MAX = 33_554_432;
/** The length word itself; the length it states includes it. */
export const LENGTH_BYTES = 4;
/** Six 32-bit words: program, version, procedure, type, serial, status. */
export const HEADER_BYTES = 24;
/** One string, XML included. */
export const STRING_BYTES_MAX = 4_194_304;
export const UUID_BYTES = 16;
export const SECRET_BYTES_MAX = 65_536;
/** Opaque state handed between the phases of a migration. */
export const MIGRATE_COOKIE_BYTES_MAX = 4_194_304;
/** Members of any list reply: domains, secrets, pools, volumes, checkpoints. */
export const LIST_ENTRIES_MAX = 16_384;
/** Typed parameters in one migration call, job statistics or event. */
export const PARAMETERS_MAX = 64;
export const AUTH_TYPES_MAX = 20;
/** Data in one stream packet: the largest that every libvirt since 0.6 accepts. */
export const STREAM_CHUNK_BYTES_MAX = 262_120;

/** A download stops reading the socket above this, so a slow consumer costs no more memory. */
export const DOWNLOAD_BUFFER_BYTES_MAX = 1_048_576;
/**
 * libvirtd stops reading a client that has `max_client_requests` (default 5) calls open, pings
 * included. Staying one below keeps keepalive answered while long calls run.
 */
export const CALLS_IN_FLIGHT_MAX = 4;
/** Calls waiting for one of those places. Beyond it the caller has lost control of its own load. */
export const CALLS_QUEUED_MAX = 4_096;

/** First capability probe of a fresh daemon takes 4 s under load; anything slower than this is stuck. */
export const CALL_MS_DEFAULT = 30_000;
/** Save, restore, migrate, wipe: 1 TiB at 50 MB/s. Keepalive finds a dead daemon long before. */
export const LONG_CALL_MS_DEFAULT = 21_600_000;
/** One step of a stream: room for the next chunk, the next chunk, the end. A disk that flushes a cache may take minutes. */
export const STREAM_STALL_MS_DEFAULT = 300_000;
/** Socket, TLS handshake and opening of the driver together. */
export const CONNECT_MS_DEFAULT = 30_000;
/** A polite close waits this long for its acknowledgement. */
export const CLOSE_MS_MAX = 2_000;
/** As libvirt's clients: dead after five silent intervals. */
export const KEEPALIVE_INTERVAL_MS_DEFAULT = 5_000;
export const KEEPALIVE_COUNT_DEFAULT = 5;

/** 6.0.0, the first with every procedure used here. libvirt encodes major·10⁶ + minor·10³ + release. */
export const LIBVIRT_VERSION_MIN = 6_000_000n;

/** setTimeout fires at once above this, the opposite of what a very patient caller wants. */
export const TIMER_MS_MAX = 0x7fff_ffff;
