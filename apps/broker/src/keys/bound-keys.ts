import type { VmSpec, VmTpm } from '@carnet/events';
import { type BoundKey, DERIVATIONS, type ExpectedArtifact } from '@carnet/keys';
import type { DepositVolume } from '../perform/artifacts.ts';

/** DEKs get a second version only when they are re-keyed in place, which this version does not do. */
export const DEK_VERSION = 1;

/** A disk's key as the deposit binds it. */
export const diskKey = ({ disk: { key, artifact, capacityBytes }, headerDigest }: DepositVolume): BoundKey => ({
  key,
  version: DEK_VERSION,
  artifact,
  kind: 'disk',
  derivation: DERIVATIONS.disk,
  capacityBytes,
  headerDigest,
});

/** A vTPM's state has no size that could be bound, and no header: swtpm judges it by its own message authentication code. */
const vtpmKey = ({ artifact, key }: VmTpm): BoundKey => ({
  key,
  version: DEK_VERSION,
  artifact,
  kind: 'vtpm',
  derivation: DERIVATIONS.vtpm,
  capacityBytes: 0,
});
export const vtpmKeys = ({ tpm }: VmSpec): readonly BoundKey[] => (tpm === undefined ? [] : [vtpmKey(tpm)]);

/** What the deposit of an intent's VM must bring. */
export const expectedOf = (spec: VmSpec): readonly ExpectedArtifact[] => [...spec.disks, ...vtpmKeys(spec)];
