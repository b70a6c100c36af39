import { type ArtifactId, artifactId } from '@carnet/events';
import type { Seen } from '../step-log.ts';

/** Which artifacts a destroying step set out to destroy: after a crash the record of the VM may already be gone. */
export const seenArtifacts = (artifacts: readonly ArtifactId[]): Seen =>
  Object.fromEntries(artifacts.map((artifact, i) => [`artifact${i}`, artifact]));

export const artifactsSeen = (seen: Seen): readonly ArtifactId[] =>
  Object.values(seen).flatMap((value) => {
    const parsed = artifactId.safeParse(value);
    return parsed.success ? [parsed.data] : [];
  });
