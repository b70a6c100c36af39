import {
  artifactId,
  artifactKind,
  byteCount,
  dataPath,
  destroyedArtifact,
  digest,
  epoch,
  rekeyMethod,
  sealedArtifacts,
  timestamp,
  vmSpec,
} from '@carnet/events';
import { z } from 'zod';
import { imageName } from './scalars.ts';

const record = <S extends z.ZodRawShape>(shape: S) => z.strictObject(shape).readonly();
const many = <T extends z.ZodType>(item: T) => z.array(item).max(256).readonly();

/** libvirt's domain states as far as they matter here; `absent`: libvirt knows no such domain. */
export const vmState = z.enum(['running', 'paused', 'shutoff', 'crashed', 'absent']);
export type VmState = z.infer<typeof vmState>;

/** The host's durable memory of one VM (protocol, section 8). */
export const fenceFacts = record({
  /** 0 until the first migration. */
  epoch: z.int().min(0),
  standing: z.enum(['mine', 'surrendered', 'never']),
  /** `held`: nobody may start it, though it is mine: it is stopped for a migration, or not yet started by one. */
  vcpus: z.enum(['may-run', 'held']),
  role: z.enum(['home', 'source', 'target']),
});

export const volumeFacts = record({
  artifact: artifactId,
  /** Bytes of the guest's disk, and of the file that holds it. */
  capacityBytes: byteCount,
  sizeBytes: byteCount,
  /** SHA-256 of the LUKS header. */
  headerDigest: digest,
});

export const imageFacts = record({ name: imageName, digest, sizeBytes: byteCount, capacityBytes: byteCount });

/** SHA-256 of the LUKS header that arrived, and of the one that took its place. */
export const rekeyedFacts = record({ artifact: artifactId, before: digest, after: digest });

const artifactFacts = record({ artifact: artifactId, kind: artifactKind, sizeBytes: byteCount });

/** What a performed step found or made. */
export const stepResult = z.discriminatedUnion('step', [
  record({ step: z.literal('listImages'), images: many(imageFacts) }),
  record({ step: z.literal('registerImage'), image: imageFacts }),
  record({ step: z.literal('verifyImage'), image: imageFacts }),
  record({
    step: z.literal('inspect'),
    state: vmState,
    reason: z.string().max(64),
    autostart: z.boolean(),
    spec: vmSpec.optional(),
    fence: fenceFacts.optional(),
    consoleBytes: byteCount,
    vcpuTimeMs: byteCount,
    /** Bytes of the file that holds each disk: what a move of it carries. A file that is missing is not listed. */
    volumes: many(record({ artifact: artifactId, sizeBytes: byteCount })),
  }),
  record({ step: z.literal('createVm'), volumes: many(volumeFacts) }),
  record({ step: z.literal('startVm') }),
  record({ step: z.literal('stopVm'), forced: z.boolean() }),
  record({ step: z.literal('deleteVm') }),
  record({ step: z.literal('provideSecrets'), provided: byteCount }),
  record({ step: z.literal('preflight'), state: vmState, volumes: many(volumeFacts), dataPath }),
  record({ step: z.literal('reserve'), until: timestamp }),
  record({ step: z.literal('trialUnlock'), volumes: many(volumeFacts) }),
  /** `was`: the VM's state before; a resume brings that back. */
  record({ step: z.literal('quiesce'), was: vmState, forced: z.boolean(), artifacts: many(artifactFacts) }),
  record({ step: z.literal('seal'), round: z.int(), artifacts: sealedArtifacts }),
  record({ step: z.literal('serve'), dataPath, until: timestamp }),
  record({ step: z.literal('surrender') }),
  record({ step: z.literal('resume'), ran: z.boolean() }),
  record({ step: z.literal('retire'), artifacts: many(artifactId), fates: many(destroyedArtifact).default([]) }),
  record({
    step: z.literal('receive'),
    round: z.int(),
    roots: many(record({ artifact: artifactId, root: digest })),
    /** What travelled in this attempt, and the size of everything. */
    receivedBytes: byteCount,
    totalBytes: byteCount,
  }),
  record({ step: z.literal('rekey'), method: rekeyMethod.exclude(['none']), volumes: many(rekeyedFacts) }),
  record({ step: z.literal('start'), vcpus: z.enum(['run', 'held']), memoryRestored: z.boolean() }),
  record({ step: z.literal('reencrypt'), volumes: many(rekeyedFacts) }),
  record({ step: z.literal('observe'), state: vmState, vcpuTimeMs: byteCount, consoleBytes: byteCount }),
  record({ step: z.literal('forswear'), epoch }),
  record({ step: z.literal('destroy'), artifacts: many(artifactId), fates: many(destroyedArtifact).default([]) }),
]);
export type StepResult = z.infer<typeof stepResult>;
export type ResultOf<S extends StepResult['step']> = Extract<StepResult, { readonly step: S }>;
export type VolumeFacts = z.infer<typeof volumeFacts>;
export type ImageFacts = z.infer<typeof imageFacts>;
export type FenceFacts = z.infer<typeof fenceFacts>;
