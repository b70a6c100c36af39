import {
  artifactId,
  artifactKind,
  byteCount,
  certificateChain,
  DISKS_MAX,
  dataPath,
  digest,
  migrationMode,
  rekeyMethod,
  sealedArtifacts,
  timestamp,
  vmSpec,
} from '@carnet/events';
import { z } from 'zod';
import { GRACE_SECONDS_MAX, OBSERVE_SECONDS_MAX } from '../limits.ts';
import { imageName, importName, memorySecret, sealedSecret } from './scalars.ts';

/** Of each disk, and of the vTPM. */
const secrets = z
  .array(sealedSecret)
  .max(DISKS_MAX + 1)
  .readonly();
const round = z.int().min(0).max(1_000);
const graceSeconds = z.int().min(0).max(GRACE_SECONDS_MAX);
const nothing = z.strictObject({}).readonly();
const record = <S extends z.ZodRawShape>(shape: S) => z.strictObject(shape).readonly();

/** Bodies of a VM's life outside migrations. */
export const lifeBodies = {
  inspect: nothing,
  /** Each disk blank, or (the first) converted from a registered image. `secrets` has one for each disk and the vTPM, and the image's own. */
  createVm: record({ spec: vmSpec, from: record({ image: imageName, secret: sealedSecret }).optional(), secrets }),
  /** `epoch`: the one that the broker takes the VM to be in; a permit that comes along renews that epoch's. */
  startVm: record({ secrets, epoch: z.int().min(0).optional() }),
  /** Power is cut after `graceSeconds`; 0 cuts it at once. */
  stopVm: record({ graceSeconds }),
  deleteVm: nothing,
  /** Secrets again, after libvirtd restarted and lost its ephemeral ones. */
  provideSecrets: record({ secrets }),
} as const;

/** Bodies of the host's image store. */
export const imageBodies = {
  listImages: nothing,
  /** Encrypts a plain raw disk of the import folder under the secret's key. The secret's VM context is `imageContext`. */
  registerImage: record({ name: imageName, file: importName, secret: sealedSecret }),
  verifyImage: record({ name: imageName }),
} as const;

/** What the trial unlock compares: headers stay frozen from deposit to release. */
export const lockedVolume = record({
  artifact: artifactId,
  capacityBytes: byteCount,
  headerDigest: digest.optional(),
  secret: sealedSecret,
});

/** Why a stopped source may run again. After a surrender only `relinquished` counts: the peer's own signed event. */
export const resumeProof = z.discriminatedUnion('kind', [
  record({ kind: z.literal('withdrawn'), event: digest }),
  record({ kind: z.literal('relinquished'), event: digest }),
]);

/** One volume that arrived: the key that came with it, and the one that takes its place. */
export const rekeyVolume = record({
  artifact: artifactId,
  capacityBytes: byteCount,
  headerDigest: digest.optional(),
  from: sealedSecret,
  to: sealedSecret,
});

/** Bodies of a migration's steps, in the order of the protocol (section 4). */
export const migrationBodies = {
  preflight: record({ spec: vmSpec, mode: migrationMode }),
  /** `rekey`: `full` needs room for one more copy of the largest disk. */
  reserve: record({ spec: vmSpec, mode: migrationMode, until: timestamp, rekey: rekeyMethod.optional() }),
  /** Opens each volume and starts nothing: at the source before the deposit, at the target after the release. */
  trialUnlock: record({ where: z.enum(['volumes', 'staging']), volumes: z.array(lockedVolume).min(1).max(DISKS_MAX).readonly() }),
  /** `memory` is required for, and only for, `suspend`. */
  quiesce: record({ mode: migrationMode, graceSeconds, memory: memorySecret.optional() }),
  seal: record({
    round,
    chunkBytes: z.int().min(4_096).max(16_777_216),
    artifacts: z
      .array(record({ artifact: artifactId, kind: artifactKind }))
      .min(1)
      .max(DISKS_MAX + 3)
      .readonly(),
  }),
  /** `peer`: chain of the one agent that may pull, as pinned in the offer. */
  serve: record({
    round,
    artifacts: z
      .array(artifactId)
      .min(1)
      .max(DISKS_MAX + 3)
      .readonly(),
    peer: certificateChain,
    until: timestamp,
  }),
  surrender: nothing,
  resume: record({ proof: resumeProof, secrets, memory: memorySecret.optional() }),
  retire: nothing,
  /** `peer`: chain of the source's agent, as pinned in the agreement. */
  receive: record({
    round,
    dataPath,
    peer: certificateChain,
    artifacts: sealedArtifacts,
    rateBytesPerSecond: z.int().min(1).optional(),
  }),
  /** In staging, before any start: afterwards the volumes open with the new keys, and with no other. */
  rekey: record({ method: rekeyMethod.exclude(['none']), volumes: z.array(rekeyVolume).min(1).max(DISKS_MAX).readonly() }),
  /**
   * After the start, running or not: every disk gets a volume key that no earlier volume had. `secrets` are those of the start: the
   * passphrases stay. The rate limits the copy beside a running guest, not what the guest writes.
   */
  reencrypt: record({ secrets, rateBytesPerSecond: z.int().min(1).optional() }),
  /** `held`: the VM is defined and stays stopped, as it was at the source. */
  start: record({ spec: vmSpec, vcpus: z.enum(['run', 'held']), secrets, memory: memorySecret.optional() }),
  /** `signs`: what counts as life. `console`: new output too; `vcpu`: processor time alone, for guests without a serial console. */
  observe: record({ signs: z.enum(['console', 'vcpu']), withinSeconds: z.int().min(1).max(OBSERVE_SECONDS_MAX) }),
  forswear: nothing,
  destroy: nothing,
} as const;
