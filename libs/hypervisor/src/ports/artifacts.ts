import type {
  ArtifactId,
  ArtifactKind,
  DataPath,
  Digest,
  Epoch,
  MigrationId,
  SealedArtifact,
  Timestamp,
  VmId,
} from '@carnet/events';
import type { StepProgress } from '../command/report.ts';
import type { ImageFacts } from '../command/result.ts';
import type { Outcome } from '../outcome.ts';

/** Which hand-over a manifest, a share or a transfer belongs to: bound into the Merkle root. */
export type HandOver = { readonly vm: VmId; readonly migration: MigrationId; readonly epoch: Epoch; readonly round: number };

export type GuardedHeader = { readonly capacityBytes: number; readonly sizeBytes: number; readonly headerDigest: Digest };

/** Where a guarded LUKS header lies in its file, key slots included, and which slots are in use. Bytes. */
export type LuksPlace = { readonly offset: number; readonly bytes: number; readonly activeSlots: readonly number[] };

export type SealRequest = {
  readonly of: HandOver;
  readonly artifact: ArtifactId;
  readonly kind: ArtifactKind;
  readonly path: string;
  readonly chunkBytes: number;
  readonly signal: AbortSignal;
};

export type ServeRequest = {
  readonly of: HandOver;
  readonly artifacts: readonly { readonly sealed: SealedArtifact; readonly path: string }[];
  /** Chain of the one agent that may pull, leaf first, base64 DER. */
  readonly peer: readonly string[];
  /** The share ends by itself then. */
  readonly until: Timestamp;
};

export type PullRequest = {
  readonly of: HandOver;
  readonly sealed: SealedArtifact;
  readonly from: DataPath;
  /** Chain of the agent that serves there, leaf first, base64 DER. */
  readonly peer: readonly string[];
  readonly into: string;
  readonly rateBytesPerSecond: number | undefined;
  readonly onProgress: (progress: StepProgress) => void;
  readonly signal: AbortSignal;
};

/** What seals one memory state, once: 32 bytes, and the context that they are bound to. */
export type MemoryKey = { readonly key: Uint8Array; readonly context: Uint8Array };

export type StoredImage = { readonly path: string; readonly facts: ImageFacts };

/** Images and how they travel. The apps wire `@carnet/images` in; a ring-2 lib never imports its sibling. */
export type Artifacts = {
  /** Judges a qcow2 header with our own parser: no qemu tool sees a header that this refused. */
  guard(path: string): Promise<Outcome<GuardedHeader>>;
  /** As `guard`, and where the LUKS header lies. */
  luksPlace(path: string): Promise<Outcome<LuksPlace>>;
  seal(request: SealRequest): Promise<Outcome<SealedArtifact>>;
  serve(request: ServeRequest): Promise<Outcome<void>>;
  /** Forgets the manifest of a file that is about to change or go; none is fine. */
  unseal(path: string): Promise<void>;
  /** Ends the share of one migration; none is fine. */
  unserve(migration: MigrationId): Promise<void>;
  /** Receives and verifies one artifact; called again, it resumes with what is missing. */
  pull(request: PullRequest): Promise<Outcome<{ readonly receivedBytes: number }>>;
  /** Clear memory state → ciphertext. `to` appears whole or not at all. */
  sealMemory(from: string, to: string, key: MemoryKey): Promise<Outcome<void>>;
  openMemory(from: string, to: string, key: MemoryKey): Promise<Outcome<void>>;
  dataPath(): DataPath;
  listImages(): Promise<readonly ImageFacts[]>;
  /**
   * `make` writes an encrypted qcow2 at the path it is given, in the store's own staging; its refusal is the answer. The image
   * appears whole, judged and durable, or nothing of it stays. A name that is taken is IMAGE_NAME_TAKEN.
   */
  registerImage(name: string, make: (path: string) => Promise<Outcome<void>>, signal: AbortSignal): Promise<Outcome<ImageFacts>>;
  /** Bytes that a new image may take. */
  imageRoom(): Promise<number>;
  /** Reads every byte; anything that is not as registered is IMAGE_TAMPERED. */
  verifyImage(name: string, signal: AbortSignal): Promise<Outcome<ImageFacts>>;
  /** An image to clone a disk from: IMAGE_UNKNOWN, or IMAGE_TAMPERED when its header is no longer what was registered. */
  findImage(name: string): Promise<Outcome<StoredImage>>;
};
