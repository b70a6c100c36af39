import { z } from 'zod';
import {
  ACCREDITED_CLAIMS_MAX,
  ARTIFACT_BYTES_MAX,
  ARTIFACTS_MAX,
  DISKS_MAX,
  JURISDICTIONS_MAX,
  LABELS_MAX,
  MEMORY_MIB_MAX,
  SECURITY_LEVEL_MAX,
  VCPUS_MAX,
} from './limits.ts';
import { artifactId, byteCount, digest, ed25519PublicKey, type KeyId, keyId } from './scalars.ts';

/** How the guest starts. `kernel` and `initrd` are named by SHA-256: each host keeps its own catalogue of boot images. */
export const vmBoot = z.discriminatedUnion('kind', [
  z
    .strictObject({
      kind: z.literal('kernel'),
      kernel: digest,
      initrd: digest,
      cmdline: z
        .string()
        .max(512)
        .regex(/^[\x20-\x7e]*$/),
    })
    .readonly(),
  z.strictObject({ kind: z.literal('disk') }).readonly(),
]);
export type VmBoot = z.infer<typeof vmBoot>;

/** One LUKS-encrypted qcow2 disk. */
export const vmDisk = z
  .strictObject({
    artifact: artifactId,
    target: z.string().regex(/^vd[a-z]$/),
    format: z.literal('qcow2'),
    capacityBytes: byteCount.min(512).max(ARTIFACT_BYTES_MAX),
    key: keyId,
  })
  .readonly();
export type VmDisk = z.infer<typeof vmDisk>;

/** A TPM 2.0 of its own (swtpm), whose state is encrypted under a key of the VM wherever it lies. */
export const vmTpm = z.strictObject({ artifact: artifactId, key: keyId }).readonly();
export type VmTpm = z.infer<typeof vmTpm>;

export const securityLevel = z.int().min(0).max(SECURITY_LEVEL_MAX);
/** ISO 3166: `DE`, `DE-BY`, or a union that both CSPs mean the same by: `EU`. */
export const jurisdiction = z.string().regex(/^[A-Z]{2}(-[A-Z0-9]{1,3})?$/);
const word = z.string().regex(/^[a-z0-9]([a-z0-9._-]{0,61}[a-z0-9])?$/);
/** Who accredits CSPs: an auditor, an authority. */
export const accreditorName = word;
export const claimName = word;
/** One spelling of a set: sorted, each once. */
export const isSet = (items: readonly string[]): boolean => items.every((item, i) => i === 0 || (items[i - 1] ?? '') < item);

/** What travels with the VM wherever it goes. Away from home it can only be tightened; `legalHold` never travels, since it holds. */
export const vmRestrictions = z
  .strictObject({
    /** Of the home domain. */
    project: word,
    labels: z.array(word).max(LABELS_MAX).readonly().refine(isSet, 'expected sorted labels, each once'),
    /** A host must have at least this level. */
    level: securityLevel,
    /** Every jurisdiction that its CSP answers to must be among them. Absent: any. */
    jurisdictions: z.array(jurisdiction).max(JURISDICTIONS_MAX).readonly().refine(isSet, 'expected sorted, each once').optional(),
    /** Whether a CSP that received it may send it on to anyone but its home. */
    onward: z.boolean(),
    /** Moves nowhere, and is not deleted. */
    legalHold: z.boolean(),
    /** The key of whoever must consent to each move (`ConsentStatement`). Absent: nobody. */
    owner: ed25519PublicKey.optional(),
    /** `<accreditor>:<claim>`: whoever receives it must have all of them. Absent: none. */
    accreditations: z
      .array(z.string().regex(/^[a-z0-9]([a-z0-9._-]{0,61}[a-z0-9])?:[a-z0-9]([a-z0-9._-]{0,61}[a-z0-9])?$/))
      .min(1)
      .max(ACCREDITED_CLAIMS_MAX)
      .readonly()
      .refine(isSet, 'expected sorted claims, each once')
      .optional(),
  })
  .readonly();
export type VmRestrictions = z.infer<typeof vmRestrictions>;

/** Of a VM about which nobody said anything. */
export const UNRESTRICTED: VmRestrictions = { project: 'default', labels: [], level: 0, onward: true, legalHold: false };

/** The VM as typed fields, from which each host makes its own domain XML. XML is never forwarded. */
export const vmSpec = z
  .strictObject({
    name: z.string().regex(/^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$/),
    vcpus: z.int().min(1).max(VCPUS_MAX),
    memoryMiB: z.int().min(16).max(MEMORY_MIB_MAX),
    machine: z.string().regex(/^pc-(q35|i440fx)-[0-9]+\.[0-9]+$/),
    cpuModel: z.string().regex(/^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/),
    boot: vmBoot,
    disks: z.array(vmDisk).min(1).max(DISKS_MAX).readonly(),
    tpm: vmTpm.optional(),
    /** Absent: `UNRESTRICTED`. */
    restrictions: vmRestrictions.optional(),
  })
  .readonly();
export type VmSpec = z.infer<typeof vmSpec>;

/** What a host needs to start the VM: the keys of its disks and of its vTPM. */
export const keysOf = ({ disks, tpm }: Pick<VmSpec, 'disks' | 'tpm'>): readonly KeyId[] => [
  ...disks.map(({ key }) => key),
  ...(tpm === undefined ? [] : [tpm.key]),
];

export const artifactKind = z.enum(['disk', 'memory', 'nvram', 'vtpm']);
export type ArtifactKind = z.infer<typeof artifactKind>;

/** What is signed of one artifact: RFC 6962 Merkle root over its chunks' SHA-256. */
export const sealedArtifact = z
  .strictObject({
    artifact: artifactId,
    kind: artifactKind,
    sizeBytes: byteCount.max(ARTIFACT_BYTES_MAX),
    chunkBytes: z.int().min(4_096).max(16_777_216),
    root: digest,
  })
  .readonly();
export type SealedArtifact = z.infer<typeof sealedArtifact>;
export const sealedArtifacts = z.array(sealedArtifact).min(1).max(ARTIFACTS_MAX).readonly();

/** Modes this version can move in. `warm` and `live` are in the protocol and come later. */
export const migrationMode = z.enum(['cold', 'suspend']);
export type MigrationMode = z.infer<typeof migrationMode>;
