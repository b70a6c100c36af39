import { z } from 'zod';
import { signedEvidence } from './evidence.ts';
import { ARTIFACTS_MAX, DISKS_MAX } from './limits.ts';
import { reason } from './reason.ts';
import { rekeyMethod } from './rekey.ts';
import { artifactId, base64, byteCount, digest, hostName, keyId, timestamp } from './scalars.ts';
import { artifactKind, sealedArtifacts } from './vm.ts';

const round = z.int().min(0).max(1_000);

/** A key inside a deposit. `derivation` says how the DEK becomes what opens the artifact: a raw key without it is not portable. */
export const depositedKey = z
  .strictObject({
    key: keyId,
    version: z.int().min(1),
    artifact: artifactId,
    kind: artifactKind,
    derivation: z.enum(['luks-passphrase-hex', 'swtpm-passphrase-hex', 'aes-256-gcm-stream']),
    /** Bytes and capacity bound into the context, so that a key cannot be moved to another volume. */
    capacityBytes: byteCount,
    /** SHA-256 of the LUKS header as it was at the trial unlock; headers stay frozen until release. */
    headerDigest: digest.optional(),
    enc: base64.max(4_096),
    ct: base64.max(256),
  })
  .readonly();
export type DepositedKey = z.infer<typeof depositedKey>;

export const keyDeposited = z
  .strictObject({
    offer: digest,
    agreed: digest,
    /** SHA-256("krel" ‖ C ‖ Krel). */
    commit: digest,
    notAfter: timestamp,
    keys: z.array(depositedKey).min(1).max(ARTIFACTS_MAX).readonly(),
  })
  .readonly();

export const depositAcknowledged = z
  .strictObject({
    deposit: digest,
    /** HMAC-SHA-256 under a key from each HPKE exporter, over the context: possession, nothing else. */
    macs: z
      .array(z.strictObject({ key: keyId, mac: digest }).readonly())
      .min(1)
      .max(ARTIFACTS_MAX)
      .readonly(),
  })
  .readonly();

export const imageSealed = z.strictObject({ round, final: z.boolean(), artifacts: sealedArtifacts }).readonly();

const verifiedRoots = z
  .array(z.strictObject({ artifact: artifactId, root: digest }).readonly())
  .min(1)
  .max(ARTIFACTS_MAX)
  .readonly();
export type VerifiedRoots = z.infer<typeof verifiedRoots>;

export const imageVerified = z.strictObject({ sealed: digest, round, roots: verifiedRoots }).readonly();

/** B's promise: capacity held, deposit confirmed; binding until B relinquishes. */
export const targetReady = z.strictObject({ agreed: digest, acknowledged: digest, until: timestamp }).readonly();

export const sourceQuiesced = z.strictObject({ ready: digest, evidence: signedEvidence }).readonly();

export const keyReleased = z
  .strictObject({
    ready: digest,
    sealed: digest,
    verified: digest,
    deposit: digest,
    acknowledged: digest,
    roots: verifiedRoots,
    enc: base64.max(4_096),
    ct: base64.max(8_192),
  })
  .readonly();

export const keyImported = z
  .strictObject({
    release: digest,
    /** Each key active in B's key manager, under B's own KEK. */
    keys: z
      .array(z.strictObject({ key: keyId, version: z.int().min(1), artifact: artifactId }).readonly())
      .min(1)
      .max(ARTIFACTS_MAX)
      .readonly(),
    /** SHA-256 of the per-migration public key whose private half is destroyed. */
    destroyedPublicKey: digest,
  })
  .readonly();

export const startAuthorized = z.strictObject({ imported: digest, host: hostName, startVcpus: z.boolean() }).readonly();
export const vmStarted = z.strictObject({ authorized: digest, evidence: signedEvidence }).readonly();
export const vmHealthy = z.strictObject({ started: digest, evidence: signedEvidence }).readonly();

/** A key as the target's key manager knows it, and the LUKS header (SHA-256, key slots included) that it opens. */
const keyAndHeader = z.strictObject({ key: keyId, version: z.int().min(1), headerDigest: digest }).readonly();

/** One volume: which key and header are dead (`from`), and which open it now (`to`). Never a key's value. */
export const rekeyedVolume = z.strictObject({ artifact: artifactId, from: keyAndHeader, to: keyAndHeader }).readonly();
export type RekeyedVolume = z.infer<typeof rekeyedVolume>;

/**
 * `none` is said after the start. `slot` and `full` are done, by the host's word, before the VM's first instruction there; `full-online` after it
 * showed life.
 */
export const volumeRekeyed = z.discriminatedUnion('method', [
  z.strictObject({ method: z.literal('none'), artifacts: z.array(artifactId).min(1).max(ARTIFACTS_MAX).readonly() }).readonly(),
  z
    .strictObject({
      method: rekeyMethod.exclude(['none']),
      imported: digest,
      volumes: z.array(rekeyedVolume).min(1).max(DISKS_MAX).readonly(),
      evidence: signedEvidence,
    })
    .readonly(),
]);

/** The volumes that have another key since: none while nothing was said of it, and none by `none`. */
export const replacedVolumes = (rekeyed: z.infer<typeof volumeRekeyed> | undefined): readonly RekeyedVolume[] =>
  rekeyed === undefined || rekeyed.method === 'none' ? [] : rekeyed.volumes;

/** The rollback window is over (`window`), or an operator accepted the VM as it runs (`accepted`). */
export const migrationFinalized = z.strictObject({ healthy: digest, cause: z.enum(['window', 'accepted']) }).readonly();

/** A key that is gone: its wrapped bytes are erased from the key manager, its record and history stay. */
export const destroyedKey = z.strictObject({ key: keyId, version: z.int().min(1), state: z.literal('destroyed') }).readonly();

/**
 * How an artifact's file went. `header-overwritten`: its LUKS header with all key slots was overwritten and flushed, then the file
 * unlinked: without header not even the passphrase opens what may be left of it. `unlinked`: ciphertext whose key is destroyed.
 * `absent`: it was not there (any more).
 */
export const artifactFate = z.enum(['header-overwritten', 'unlinked', 'absent']);
export type ArtifactFate = z.infer<typeof artifactFate>;
export const destroyedArtifact = z
  .strictObject({
    artifact: artifactId,
    fate: artifactFate,
    /** SHA-256 of the LUKS header that was overwritten. */
    headerDigest: digest.optional(),
  })
  .readonly();
export type DestroyedArtifact = z.infer<typeof destroyedArtifact>;

/** What a destroying side cannot prove, ever: who signs a receipt says it. */
export const unprovable = z.enum(['copies', 'backups', 'database-wal', 'storage-snapshots', 'swap', 'ciphertext-blocks']);
export type Unprovable = z.infer<typeof unprovable>;

/**
 * What was destroyed, how, and what nobody can prove. `keys` and `artifacts` name everything; the lists of fates say how each
 * went (receipts of the first brokers have none).
 */
export const destructionReceipt = z
  .strictObject({
    /** Those that were handed over, and those that were made to take their place. */
    keys: z
      .array(keyId)
      .max(2 * ARTIFACTS_MAX)
      .readonly(),
    artifacts: z.array(artifactId).max(ARTIFACTS_MAX).readonly(),
    method: z.enum(['cryptographic-erase', 'none-held']),
    keyFates: z
      .array(destroyedKey)
      .max(2 * ARTIFACTS_MAX)
      .readonly()
      .optional(),
    artifactFates: z.array(destroyedArtifact).max(ARTIFACTS_MAX).readonly().optional(),
    cannotProve: z.string().max(512),
    unproven: z.array(unprovable).max(unprovable.options.length).readonly().optional(),
    evidence: signedEvidence.optional(),
  })
  .readonly();
export type DestructionReceipt = z.infer<typeof destructionReceipt>;

export const sourceRetired = z.strictObject({ finalized: digest, receipt: destructionReceipt }).readonly();

export const migrationWithdrawn = z.strictObject({ intent: digest, reason }).readonly();

/** `never`: the host recorded *never* for this epoch before this was published. */
export const migrationRelinquished = z
  .strictObject({ intent: digest, reason, receipt: destructionReceipt, never: signedEvidence.optional() })
  .readonly();

/** After `MigrationWithdrawn` (which it cites), or after release only citing `MigrationRelinquished`. `ran`: whether the VM had been stopped and runs again. */
export const sourceResumed = z.strictObject({ cites: digest, ran: z.boolean(), evidence: signedEvidence.optional() }).readonly();
