import type { DsseEnvelope } from '@carnet/events';

/** One holding of a key. */
export interface KeyRow {
  readonly key: string;
  readonly version: number;
  /** The epoch in which it came here; 0: it was made here. A key that left and came back is held anew. */
  readonly arrival: number;
  /** The holding that counts; the others are of before. */
  readonly current: boolean;
  readonly project: string;
  readonly vm?: string;
  readonly kind: string;
  readonly state: string;
  readonly origin: string;
  readonly artifact: string;
  readonly capacityBytes: number;
  /** What the bytes are for, and how they become that. */
  readonly algorithm: string;
  readonly derivation: string;
  /** SHA-256 of the LUKS header at the trial unlock. */
  readonly headerDigest?: string;
  /** Merkle root of what the key opens, as it was handed over or registered. */
  readonly imageRoot?: string;
  /** Version of the project's KEK that wraps it; absent once it is destroyed. */
  readonly kekVersion?: number;
  /** Of a key that a peer handed over. */
  readonly source?: string;
  readonly migration?: string;
  readonly epoch?: number;
  readonly consumers: readonly string[];
  readonly createdAt: string;
  /** When it came into its present state. */
  readonly changedAt: string;
  readonly provenance: readonly string[];
  /** The key whose place it took, as `<key> version <n>`. */
  readonly replaces?: string;
  /** Peers whose own operators say that it is compromised. Nothing changed here by that: our operators decide. */
  readonly reportedCompromisedBy: readonly string[];
}

/** The holding that counts, and everything that is known of the key. */
export interface KeyDetail extends KeyRow {
  /** From the first activation until it was deactivated, compromised or destroyed. */
  readonly validFrom?: string;
  readonly validTo?: string;
  /** Of all holdings, oldest first. */
  readonly history: readonly KeyHistoryRow[];
  /** Whether every line of the history stands on the one before it, as written. */
  readonly historyChain: 'intact' | 'broken';
  /** Every time it was held here, newest first. */
  readonly holdings: readonly KeyHoldingRow[];
  /** Peers that hold or held it. */
  readonly shared: readonly { readonly peer: string; readonly migration: string; readonly direction: 'in' | 'out' }[];
  readonly reports: readonly KeyReportRow[];
}
export interface KeyHoldingRow {
  readonly arrival: number;
  readonly state: string;
  readonly origin: string;
  readonly createdAt: string;
  readonly changedAt: string;
}
export interface KeyHistoryRow {
  readonly arrival: number;
  readonly state: string;
  readonly at: string;
  readonly actor: string;
  readonly reason: string;
  readonly digest: string;
  /** Digest of the signed event that it rests on. */
  readonly cause?: string;
  /** DSSE envelope of an operator's change, by this CSP's event key. */
  readonly signature?: DsseEnvelope;
}
export interface KeyReportRow {
  readonly event: string;
  readonly peer: string;
  readonly from: string;
  readonly to: string;
  readonly reason: string;
  readonly at: string;
}

/** One batch of a KEK rotation. `done`: none is left under an older KEK version, and those are destroyed. `outside`: keys that lie in another key manager. */
export interface RotationRow {
  readonly project: string;
  readonly version: number;
  readonly deks: number;
  readonly secrets: number;
  readonly outside: number;
  readonly left: number;
  readonly done: boolean;
  readonly destroyed: readonly number[];
}

export interface KeyUseRow {
  readonly n: number;
  readonly at: string;
  readonly key: string;
  readonly operation: string;
  readonly principal: string;
  readonly reason: string;
  readonly vm: string;
  readonly host?: string;
  readonly peer?: string;
  readonly migration?: string;
  readonly epoch?: number;
  readonly digest: string;
}
export interface UsesVerdictRow {
  readonly intact: boolean;
  readonly uses: number;
  readonly head: string;
  readonly brokenAt?: number;
}
