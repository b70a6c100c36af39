import type { ArtifactId, DestroyedArtifact, DestructionReceipt, KeyId, SignedEvidence, Unprovable } from '@carnet/events';

/** All of it, always: nothing of this can be seen from within a CSP, and a receipt that left one out would promise it. */
const UNPROVEN: readonly Unprovable[] = ['copies', 'backups', 'database-wal', 'storage-snapshots', 'swap', 'ciphertext-blocks'];
const CANNOT_PROVE =
  'that no copy of a key or an image was made before, on purpose or in backups, database logs, snapshots below the file system or swap';

export type Destroyed = {
  readonly keys: readonly { readonly key: KeyId; readonly version: number }[];
  /** What had to go. */
  readonly artifacts: readonly ArtifactId[];
  /** What the host found and destroyed. */
  readonly fates: readonly DestroyedArtifact[];
  readonly evidence: SignedEvidence | undefined;
};

/** Each key and each artifact by itself, with the host's word; an artifact that the host did not find is said to be absent. */
export function receiptOf({ keys, artifacts, fates, evidence }: Destroyed): DestructionReceipt {
  const found = new Map(fates.map((fate) => [fate.artifact, fate]));
  const all = [...new Set([...artifacts, ...found.keys()])];
  return {
    keys: keys.map(({ key }) => key),
    artifacts: all,
    method: keys.length > 0 || all.length > 0 ? 'cryptographic-erase' : 'none-held',
    keyFates: keys.map(({ key, version }) => ({ key, version, state: 'destroyed' })),
    artifactFates: all.map((artifact) => found.get(artifact) ?? { artifact, fate: 'absent' }),
    cannotProve: CANNOT_PROVE,
    unproven: UNPROVEN,
    ...(evidence === undefined ? {} : { evidence }),
  };
}
