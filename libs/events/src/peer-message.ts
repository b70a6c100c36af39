import { z } from 'zod';
import { dsseEnvelope } from './dsse.ts';
import { NOTE_CHARS_MAX } from './limits.ts';
import { base64, digest, seq, timestamp, trustDomain } from './scalars.ts';

/** End of a ledger as its signer sees it; `null` for an empty one. */
export const headPosition = z.strictObject({ seq, digest }).readonly().nullable();
export type HeadPosition = z.infer<typeof headPosition>;

/** Of a few lines: origin, size, root, and a signature line for each side. */
const note = z.string().min(1).max(NOTE_CHARS_MAX);

const common = { from: trustDomain, to: trustDomain, time: timestamp };

/**
 * Signed, but no event: what peers tell each other about ledgers. `own` is the sender's ledger to the receiver,
 * `received` the receiver's ledger as the sender holds it (its acknowledgement).
 */
export const peerMessage = z.discriminatedUnion('kind', [
  z.strictObject({ ...common, kind: z.literal('head'), own: headPosition, received: headPosition }).readonly(),
  /** Send me your ledger from this sequence on. */
  z.strictObject({ ...common, kind: z.literal('ask'), fromSeq: seq }).readonly(),
  /** I may have been restored: what do you hold of me? */
  z.strictObject({ ...common, kind: z.literal('challenge'), nonce: base64.max(64) }).readonly(),
  z
    .strictObject({ ...common, kind: z.literal('answer'), nonce: base64.max(64), own: headPosition, received: headPosition })
    .readonly(),
  /** My ledger to you as an RFC 6962 log: a C2SP signed note under my event key. */
  z.strictObject({ ...common, kind: z.literal('checkpoint'), note }).readonly(),
  /** Your ledger to me is what I hold: your note with my cosignature. */
  z.strictObject({ ...common, kind: z.literal('cosigned'), note }).readonly(),
]);
export type PeerMessage = z.infer<typeof peerMessage>;

/** Re-sent envelopes travel beside signed messages: each vouches for itself. */
export const resentEnvelope = z.strictObject({ envelope: dsseEnvelope }).readonly();
