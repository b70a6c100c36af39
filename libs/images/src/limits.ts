/** Every bound of the image lib, with its unit and reason. */

/** Chunk of a seal when the caller asks for none, in bytes: larger gains nothing on the wire, smaller costs hashes. */
export const CHUNK_BYTES_DEFAULT = 1_048_576;
/** Smallest chunk, in bytes: one page, the unit of O_DIRECT. */
export const CHUNK_BYTES_MIN = 4_096;
/** Largest chunk, in bytes: the event language's bound; three of them still fit TRANSFER_BUFFER_BYTES. */
export const CHUNK_BYTES_MAX = 16_777_216;
/** Chunks of one artifact. Bounds its bitmap (512 KiB), its manifest's file (128 MiB) and the time to check one (15 s). */
export const CHUNKS_MAX = 4_194_304;
/** Chunks that a seal aims for at most: beyond 1 TiB chunks grow, so that a manifest is checked within a stall limit. */
export const CHUNKS_AIM = 1_048_576;
/** SHA-256, in bytes. */
export const DIGEST_BYTES = 32;

/** Chunk buffers of one transfer's receiver, in bytes, whatever the image: the largest chunk three times. */
export const TRANSFER_BUFFER_BYTES = 50_331_648;
/** Chunk buffers of a receiver at the default chunk: deeper gained nothing. */
export const RECEIVE_BUFFERS = 8;
/** Plaintext that TLS may still deliver after a pause, in bytes: one socket read of libuv (64 KiB) and one record, doubled. */
export const PAUSE_OVERRUN_BYTES = 131_072;
/** Chunks of a file hashed at once while the next is read: occupies the four threads of Node's pool. */
export const HASHES_IN_FLIGHT = 3;
/** Chunks above this are hashed where they lie, in bytes: the thread pool would hold copies of several of them. */
export const HASH_COPY_BYTES_MAX = 4_194_304;
/** Chunks verified or written at once: two writes keep an O_DIRECT disk busy. */
export const WRITES_IN_FLIGHT = 2;
/** Alignment of memory, offset and length for O_DIRECT, in bytes: covers 512-byte and 4 KiB sectors. */
export const DIRECT_ALIGN_BYTES = 4_096;

/** Between two durable points of the chunk map, in milliseconds: what a crash costs again. By bytes, a fast disk would sync all the time. */
export const CHECKPOINT_MS = 5_000;
/** Head of a chunk map on disk, in bytes: a root and what identifies a file take 250. */
export const KEPT_HEAD_BYTES_MAX = 1_024;
/** Free space kept beyond an image's own need, in bytes: maps, manifest, file system metadata. */
export const SPARE_DISK_BYTES = 8_388_608;
/** Digests held of a manifest at once (64 KiB): manifests are read by windows, never whole. */
export const MANIFEST_WINDOW_DIGESTS = 2_048;
/** Manifest context, in bytes: names and numbers only. */
export const MANIFEST_CONTEXT_BYTES_MAX = 4_096;

/** An OPEN request, in bytes: five short fields. */
export const OPEN_BYTES_MAX = 2_048;
/** A REFUSED answer, in bytes: one code. */
export const REFUSED_BYTES_MAX = 128;
/** Manifest digests per frame, in bytes. */
export const MANIFEST_FRAME_BYTES_MAX = 65_536;
/** WANT frames that a receiver leaves unanswered: hides the round trip when the missing chunks lie scattered. */
export const WANTS_IN_FLIGHT = 64;
/** Chunks of one WANT: bounds what an abandoned receiver makes the source read. */
export const WANT_CHUNKS_MAX = 65_536;
/** WANT frames that a source queues; more is a flood. */
export const WANTS_QUEUED_MAX = 256;

/** Connections of one source agent, handshakes included: each may hold SEND_BUFFERS chunks. */
export const CONNECTIONS_MAX = 32;
/** Transfers at once of one pinned peer certificate: its share of CONNECTIONS_MAX. */
export const CONNECTIONS_PER_PEER_MAX = 16;
/** Chunk buffers of one served transfer: one on its way to the socket, one being read, one spare. */
export const SEND_BUFFERS = 3;
/** TLS handshake and OPEN, in milliseconds: an idle stranger holds a slot no longer. */
export const HANDSHAKE_MS_MAX = 10_000;
/** One frame from first to last byte, in milliseconds, and the silence before it: a trickle is as dead as silence. */
export const STALL_MS_DEFAULT = 30_000;
/** Between two looks at the size of a file being served, in bytes sent. */
export const SIZE_CHECK_BYTES = 67_108_864;
/** Progress reports, in milliseconds apart: people read no faster. */
export const PROGRESS_MS = 200;
/** Longest sleep of the rate limit, in milliseconds: stays far below the peer's stall limit. */
export const RATE_SLEEP_MS_MAX = 10_000;

/** Segment of sealed memory state, in plaintext bytes: one AEAD call; bounds what an opener holds unverified. */
export const SEGMENT_BYTES = 262_144;
/** Segments of one sealed stream: the 32-bit counter of its nonce. */
export const SEGMENTS_MAX = 4_294_967_295;

/** Bytes of a qcow2 file that its header and extensions may take: real ones take 1 KiB; qemu's own bound is one cluster. */
export const QCOW2_HEADER_BYTES_MAX = 65_536;
/** Header extensions of one qcow2: there are five kinds. */
export const QCOW2_EXTENSIONS_MAX = 16;
/** qcow2 L1 table, in bytes: qemu's own bound. */
export const QCOW2_L1_BYTES_MAX = 33_554_432;
/** qcow2 refcount table, in bytes: qemu's own bound. */
export const QCOW2_REFCOUNT_TABLE_BYTES_MAX = 8_388_608;
/** Persistent bitmaps of one qcow2: qemu's own bound. */
export const QCOW2_BITMAPS_MAX = 65_535;
/** LUKS header with key slots, in bytes: LUKS1 takes 2 MiB, cryptsetup's LUKS2 16 MiB. */
export const LUKS_HEADER_BYTES_MAX = 33_554_432;
/** LUKS2 metadata area, in bytes (LUKS2 specification 1.1.1, section 2.1). */
export const LUKS2_METADATA_BYTES_MAX = 4_194_304;
/**
 * PBKDF2 rounds of one unlocking, all derivations together. A host cuts qemu-img off after 60 s and tries again, so a header that takes
 * longer burns a core for as long as its migration lives. qemu-img unlocks twice to add a key (measured), and one million rounds a second
 * are a slow or busy core: 48 s. One slot of the two seconds that qemu and cryptsetup aim for passes: 16 million on an EPYC, which has
 * instructions for SHA-256 (7.8 million a second), and 4 million of SHA-512.
 */
export const LUKS_ROUNDS_MAX = 24_000_000;
/** Anti-forensic stripes (LUKS1 specification, section 2.4): every writer uses 4,000. */
export const LUKS_STRIPES = 4_000;
/** Argon2 memory, in KiB: cryptsetup's own ceiling of 4 GiB. */
export const ARGON2_KIB_MAX = 4_194_304;
/** Argon2 passes. */
export const ARGON2_PASSES_MAX = 1_000;

/** Images of one store: a catalogue for people, listed whole. */
export const IMAGES_MAX = 10_000;
/** An image's record, in bytes. */
export const IMAGE_RECORD_BYTES_MAX = 65_536;

/** An open connection's grant is asked for again this often, in ms: a peer that is revoked is cut off within 10 s. */
export const GRANT_RECHECK_MS = 2_000;
