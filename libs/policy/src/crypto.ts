import type { Digest, DsseEnvelope } from '@carnet/events';

/** SHA-256 of a text in UTF-8. */
export type Hash = (text: string) => Digest;

/** What this lib has computed for it: it computes nothing of the kind itself, and both answer from their arguments alone. */
export type Crypto = {
  readonly hash: Hash;
  /**
   * What the envelope holds, if this Ed25519 key (32 bytes, base64) signed it as that payload type, and it is strict JSON.
   */
  readonly signed: (envelope: DsseEnvelope, payloadType: string, publicKey: string) => unknown;
  /** What the envelope holds, whoever signed it: good for a reason, never for leave. */
  readonly unverified: (envelope: DsseEnvelope) => unknown;
};
