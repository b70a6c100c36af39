import type { Digest, Event, HeadPosition, Placement, Seq, Timestamp, TrustDomain } from '@carnet/events';
import type { AdmissionCode, VoidCode } from './codes.ts';
import type { Checked } from './refusal.ts';
import type { Verifier } from './signature.ts';

/** An event key as its ledger announced it. Valid for positions `from`…`to`, both included; no `to`: still current. */
export type AnnouncedKey = {
  readonly keyid: Digest;
  /** Raw 32 bytes in base64, checked when announced. */
  readonly publicKey: string;
  readonly from: Seq;
  readonly to?: Seq;
  /** What a `KeyRevoked` at `at` said: events after `lastSeq` that this key signed stay placed, and an auditor names them. */
  readonly revoked?: { readonly at: Seq; readonly lastSeq: Seq };
};

/** Why nothing new is begun on this ledger. Set by the journal, carried unchanged by `admit`. */
export type Frozen = {
  readonly code: 'LEDGER_FORK' | 'CAUSE_UNKNOWN';
  readonly since: Timestamp;
  readonly proof: readonly Digest[];
};

/** All that admission needs to know of one ledger. Plain data: it survives JSON. */
export type LedgerState = {
  readonly publisher: TrustDomain;
  readonly audience: TrustDomain;
  readonly head: HeadPosition;
  readonly keys: readonly AnnouncedKey[];
  readonly frozen?: Frozen;
};

export const initialLedger = (publisher: TrustDomain, audience: TrustDomain): LedgerState => ({
  publisher,
  audience,
  head: null,
  keys: [],
});

/** Verdict of the certificate checks (`@carnet/pki`) on a chain: DER in base64, leaf first, root excluded. */
export type ValidateChain = (
  chain: readonly string[],
  expectedDomain: TrustDomain,
  at: Timestamp,
) => Checked<{ readonly spkiVerifier: Verifier }, string>;

/** What the caller has looked up before it asks. Every function is pure for the length of one call. */
export type AdmissionContext = {
  /** The bus subject that the bytes came on; absent for a re-sent or exported envelope. */
  readonly subject?: string;
  /** Our clock, in Unix milliseconds: a key announcement must not be dated ahead of it. */
  readonly nowMs: number;
  /** Whether an event of this id is placed in this ledger. */
  hasId(id: string): boolean;
  /** Digest of the envelope held at a position of this ledger. */
  digestAt(seq: Seq): Digest | undefined;
  /** Whether the audience's own ledger to this publisher holds an event of this digest. */
  hasCause(digest: Digest): boolean;
  /** `at` is the event's own time. */
  readonly validateChain: ValidateChain;
  /**
   * Whether a signed head, already verified, covers this envelope through the hash chain. Its Ed25519 signature is then not
   * verified again; every other check is made. Never answer yes from the envelope's own claims.
   */
  coveredByHead?(digest: Digest): boolean;
};

/** `digest` is the SHA-256 of the envelope bytes. Only `placed` changes a ledger. */
export type Admission =
  | {
      readonly kind: 'placed';
      readonly state: LedgerState;
      readonly digest: Digest;
      readonly payload: Placement;
      /** `undefined` when its own schema refuses it. */
      readonly event: Event | undefined;
      readonly voidCode?: VoidCode;
    }
  | { readonly kind: 'repeat'; readonly digest: Digest }
  | { readonly kind: 'gap'; readonly expectedSeq: Seq; readonly gotSeq: Seq }
  | { readonly kind: 'fork'; readonly seq: Seq; readonly held: Digest; readonly got: Digest }
  | { readonly kind: 'unknown-cause'; readonly digest: Digest }
  | {
      readonly kind: 'refused';
      readonly code: AdmissionCode;
      readonly text: string;
      readonly expected?: string;
      readonly got?: string;
    };
