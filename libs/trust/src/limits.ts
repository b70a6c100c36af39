/** Every bound of this lib, with its reason. The size of an event is `EVENT_BYTES_MAX` in `@carnet/events`. */

/** Nesting of JSON arrays and objects: events need 7; a deeper document only serves to exhaust a stack. */
export const JSON_DEPTH_MAX = 32;
/** Verifiers remembered, so that a public key is parsed once and not for each event. Two ledgers use two; rotations add a few. */
export const VERIFIERS_REMEMBERED_MAX = 64;
/** Sound Ed25519 keys remembered, a few hundred bytes each: a federation of 100 CSPs has about as many current ones, and witnesses. */
export const SOUND_KEYS_MAX = 256;
/** Bytes of an Ed25519 public key and seed (RFC 8032, section 5.1.5). */
export const ED25519_KEY_BYTES = 32;
/** Bytes of an Ed25519 signature (RFC 8032, section 5.1.6). */
export const ED25519_SIGNATURE_BYTES = 64;
/** Bytes of a SHA-256 hash. */
export const HASH_BYTES = 32;
/** One signed note, in bytes: a checkpoint is five short lines; a witness list stays far below. */
export const NOTE_BYTES_MAX = 16_384;
