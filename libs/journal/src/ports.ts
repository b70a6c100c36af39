import type { Timestamp, TrustDomain } from '@carnet/events';
import type { Checked, Signer, Verifier } from '@carnet/trust';

/** A pino logger fits. */
export type Log = {
  readonly debug: (fields: object, text: string) => void;
  readonly info: (fields: object, text: string) => void;
  readonly warn: (fields: object, text: string) => void;
  readonly error: (fields: object, text: string) => void;
};

/** Unix milliseconds. */
export type Clock = { readonly nowMs: () => number };
/** `n` unpredictable bytes. */
export type RandomBytes = (n: number) => Uint8Array;

/** `@carnet/pki`'s verdict on a chain (DER in base64, leaf first) for one trust domain at one time. It may take its time. */
export type ChainVerdict = Checked<{ readonly spkiVerifier: Verifier }, string>;
export type ChainValidator = (
  chain: readonly string[],
  expectedDomain: TrustDomain,
  at: Timestamp,
) => ChainVerdict | Promise<ChainVerdict>;

/** The code of a verdict on a chain whose issuer took it back; any other code may pass (a stale list, a wrong clock). */
export const REVOKED = 'REVOKED';

/** What introduces the event key: the CSP's X.509 identity signs the announcement in each ledger (RSASSA-PSS, SHA-256). */
export type Introduction = {
  /** Leaf first, DER in base64. */
  readonly chain: readonly string[];
  readonly signer: Signer;
  /** Of the event key; not after the first append. */
  readonly notBefore: Timestamp;
};

/** What signs now. Asked at each decision: keys are changed under a running process. */
export type Signing = { readonly signer: EventSigner; readonly introduction: Introduction };

export type EventSigner = Signer & { readonly publicKey: Uint8Array };
