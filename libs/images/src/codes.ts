interface Meaning {
  readonly text: string;
  readonly advice: string;
  /** Accidents are retryable; what a rule refuses will be refused again. */
  readonly retryable: boolean;
}
const rule = (text: string, advice: string): Meaning => ({ text, advice, retryable: false });
const accident = (text: string, advice: string): Meaning => ({ text, advice, retryable: true });

const HOSTILE_PEER =
  'The peer broke the data path protocol: keep its signed events, tell its operators, start no new migration with it.';
const HOSTILE_IMAGE =
  'Do not open this image with any tool. If it is your own, convert it with qemu-img to a plain LUKS-encrypted qcow2 first.';
const RESUMES = 'Call again: what was received and verified is kept.';
const SEAL_AGAIN = 'Seal the artifact again in a new round.';

/** Every code of this lib: one sentence, what to do next, whether the same call may succeed later. */
export const CODES = {
  // Files and the machine
  FILE_MISSING: rule('a file is not there', 'Check the path and whether the volume still exists.'),
  FILE_UNSUITABLE: rule('the path is not a regular file of its own', 'Name the file itself: links and directories are refused.'),
  FILE_FORBIDDEN: rule('the file may not be opened by this user', 'Check owner and mode of the image folder.'),
  DISK_FULL: rule('the disk has no room for the artifact', 'Free space or choose another pool; nothing was left behind.'),
  DISK_FAILED: accident('the disk reported an input/output error', 'Look at the kernel log of this host before trying again.'),
  ABORTED: accident('the transfer was stopped by this side', RESUMES),
  BUSY: accident('another transfer into the same path is under way', 'Wait for it, or stop it.'),
  TARGET_EXISTS: rule('the path to receive into is taken by another file', 'Move it away: nothing is overwritten.'),

  // Manifest and seal
  CHUNK_SIZE_UNSUPPORTED: rule('the chunk size is not a power of two between 4 KiB and 16 MiB', SEAL_AGAIN),
  ARTIFACT_TOO_LARGE: rule('the artifact has too many bytes or chunks', 'Use larger chunks, or a smaller volume.'),
  ARTIFACT_EMPTY: rule('the artifact holds no byte', 'Check what was sealed.'),
  MANIFEST_MALFORMED: rule('the manifest is not one of this version', SEAL_AGAIN),
  MANIFEST_MISMATCH: rule('the manifest is of another artifact, epoch, round or size', SEAL_AGAIN),
  ROOT_MISMATCH: rule('the manifest does not lead to the signed root', HOSTILE_PEER),
  CONTENT_MISMATCH: rule(
    'the bytes of the file are not those of its manifest',
    'Somebody or something changed the file: register or seal it again from a good copy.',
  ),
  SOURCE_CHANGED: rule('the file changed while it was read', 'Stop whatever writes to it, then seal again in a new round.'),

  // Link
  LINK_LOST: accident('the connection ended early', RESUMES),
  LINK_REFUSED: accident(
    'the peer could not be reached',
    'Check the data path address, port and firewall of the peer, then call again.',
  ),
  LINK_STALLED: accident('the peer sent nothing, or too little, for too long', RESUMES),
  TLS_NOT_TRUSTED: rule(
    'the TLS session is not mutual TLS 1.3 with a trusted certificate',
    'Compare the trust roots of both sides.',
  ),
  PEER_NOT_PINNED: rule(
    "the peer's certificate is not the one pinned in the agreement",
    'The agent was replaced after the agreement, or somebody sits in between: start a new migration.',
  ),

  // What a source answers
  // An accident: a source agent that was restarted grants nothing until its broker tells it again.
  NOT_GRANTED: accident(
    'this peer may not have this artifact of this migration',
    'Compare migration, artifact and certificate with the agreement on both sides.',
  ),
  ADDRESS_REFUSED: accident(
    'a connection came from outside the declared migration network',
    'If it was the peer’s agent, add its network to `dataPath.networks`; else find out who dials the data path.',
  ),
  TOO_MANY_TRANSFERS: accident('the source serves as many transfers as it may', 'Call again later.'),
  SOURCE_FAILED: accident('the source could not read the artifact', 'Look at the log of the source agent; then call again.'),

  // What a hostile peer sends
  FRAME_MALFORMED: rule('a frame has an unknown type or flags', HOSTILE_PEER),
  FRAME_OVERSIZED: rule('a frame is longer than its kind may be', HOSTILE_PEER),
  FRAME_UNEXPECTED: rule('a frame came that was not asked for', HOSTILE_PEER),
  OPEN_MALFORMED: rule('the opening request does not parse', HOSTILE_PEER),
  WANT_INVALID: rule('chunks were asked for that do not exist', HOSTILE_PEER),
  WANT_FLOOD: rule('more was asked for than may be open', HOSTILE_PEER),
  CHUNK_REPEATED: rule('a chunk came a second time, or one that was not missing', HOSTILE_PEER),
  CHUNK_SKIPPED: rule('a chunk was left out, or chunks came out of order', HOSTILE_PEER),
  CHUNK_EXTRA: rule('more chunks came than were asked for', HOSTILE_PEER),
  CHUNK_LENGTH: rule('a chunk is not as long as the manifest says', HOSTILE_PEER),
  CHUNK_HASH: rule('the bytes of a chunk are not those of the signed manifest', HOSTILE_PEER),

  // qcow2 header
  IMAGE_TRUNCATED: rule('the file ends inside its header', HOSTILE_IMAGE),
  IMAGE_CAPACITY: rule('the virtual size is not the one that was agreed', HOSTILE_IMAGE),
  QCOW2_MAGIC: rule('the file is not a qcow2', HOSTILE_IMAGE),
  QCOW2_VERSION: rule('the qcow2 version is neither 2 nor 3', HOSTILE_IMAGE),
  QCOW2_BACKING_FILE: rule('the image names a backing file', HOSTILE_IMAGE),
  QCOW2_DATA_FILE: rule('the image names an external data file', HOSTILE_IMAGE),
  QCOW2_SNAPSHOTS: rule(
    'the image holds internal snapshots',
    'Delete them with qemu-img snapshot -d before migrating: their memory would travel unsealed.',
  ),
  QCOW2_CLUSTER_BITS: rule('the cluster size is outside 512 bytes to 2 MiB', HOSTILE_IMAGE),
  QCOW2_SIZE: rule('the virtual size is absurd', HOSTILE_IMAGE),
  QCOW2_TABLE: rule('a table of the image is too large, unaligned or outside the file', HOSTILE_IMAGE),
  QCOW2_DIRTY: rule(
    'the image is marked dirty or corrupt',
    'Repair it at its owner with qemu-img check -r all, then seal again.',
  ),
  QCOW2_FEATURE_UNKNOWN: rule('the image needs a feature that this version does not know', HOSTILE_IMAGE),
  QCOW2_HEADER_LENGTH: rule('the header length or refcount order is invalid', HOSTILE_IMAGE),
  QCOW2_EXTENSION: rule('a header extension is malformed, doubled or unknown', HOSTILE_IMAGE),
  QCOW2_BITMAPS: rule('the persistent bitmaps are malformed or outside the file', HOSTILE_IMAGE),
  QCOW2_NOT_LUKS: rule(
    'the image is not encrypted with LUKS',
    'Only LUKS-encrypted images move: convert it with encrypt.format=luks.',
  ),

  // LUKS header
  LUKS_MAGIC: rule('there is no LUKS header', HOSTILE_IMAGE),
  LUKS_VERSION: rule('the LUKS version is neither 1 nor 2, or not the one this place allows', HOSTILE_IMAGE),
  LUKS_LOCATION: rule('the LUKS header or a key slot lies outside its place in the file', HOSTILE_IMAGE),
  LUKS_CIPHER: rule(
    'the cipher, mode, hash or key length is not an accepted one',
    'Accepted: aes-xts-plain64 with 256 or 512 key bits and SHA-256 or SHA-512.',
  ),
  LUKS_KDF: rule(
    'the key derivation is unknown, or takes too long in all',
    'Do not open this image with any tool. If it is your own, make it anew with fewer key slots or a shorter `iter-time`.',
  ),
  LUKS_KEY_SLOT: rule('the key slots are malformed, overlap, or none is in use', HOSTILE_IMAGE),
  LUKS2_CHECKSUM: rule('the LUKS2 header fails its own checksum', HOSTILE_IMAGE),
  LUKS2_METADATA: rule('the LUKS2 metadata is malformed', HOSTILE_IMAGE),
  RAW_NOT_ENCRYPTED: rule('a raw image must begin with a LUKS header', 'Only ciphertext moves: encrypt the volume.'),
  RAW_DISGUISED: rule('a raw image begins like an image of another format', HOSTILE_IMAGE),

  // Sealed streams
  STREAM_MALFORMED: rule('the file is not a sealed stream of this version', 'Check which file was given.'),
  STREAM_NOT_AUTHENTIC: rule(
    'the sealed stream was changed, reordered, cut, extended, or the key or context is another',
    'Do not use it: fetch or seal it again.',
  ),
  STREAM_TOO_LONG: rule('the stream is longer than one seal may be', 'Seal it in parts.'),
  KEY_LENGTH: rule('the key is not 32 bytes', 'Check which key was released for this artifact.'),

  // Image store
  IMAGE_NAME: rule('the name is not one of 1 to 64 lowercase letters, digits, dots and dashes', 'Choose another name.'),
  IMAGE_NAME_TAKEN: rule('another image has this name', 'Choose another name; images never change.'),
  IMAGE_UNKNOWN: rule('there is no image of this name', 'List the images of this host.'),
  IMAGE_RECORD: rule(
    "the image's record does not parse",
    'The store was edited by hand: remove the image folder and register the image again.',
  ),
  IMAGE_STORE_FULL: rule('the store holds as many images as it may', 'Remove images that nobody uses.'),
} as const satisfies Readonly<Record<string, Meaning>>;

export type ImageCode = keyof typeof CODES;
