import type { Digest, MigrationId, SealedArtifact } from '@carnet/events';
import type { ImageCode } from './codes.ts';
import type { SealContext } from './manifest.ts';

/** An artifact on offer: its file, the manifest that `seal` wrote, and what was signed of it. */
export interface ServedArtifact {
  readonly sealed: SealedArtifact;
  readonly of: SealContext;
  readonly file: string;
  readonly manifest: string;
}

/** Who may fetch what of one migration: the agreement's view, asked anew for every connection, and while it lasts. */
export interface Grant {
  /** SHA-256 of the DER of the target agent's leaf, from `MigrationOffered`. */
  readonly pinnedLeaf: Digest;
  readonly artifacts: readonly ServedArtifact[];
  readonly rateBytesPerSecond?: number;
}

/** What a served connection came to; for logs and metrics, never a proof (that is the target's signed event). */
export interface ServedTransfer {
  readonly migration?: MigrationId;
  readonly artifact?: SealedArtifact['artifact'];
  readonly peerLeaf?: Digest;
  readonly sentBytes: number;
  /** `complete`: the receiver said that it holds everything. */
  readonly outcome: 'complete' | ImageCode;
}
