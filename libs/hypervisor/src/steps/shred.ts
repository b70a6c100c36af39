import { type ArtifactId, artifactId, type DestroyedArtifact, digest } from '@carnet/events';
import type { Seen } from '../step-log.ts';
import type { StepContext } from './step.ts';

/**
 * Overwrites a volume's LUKS header, flushed, and unlinks the file: the key slots are gone even where blocks of the file can be
 * brought back. A file without a header (sealed memory, what a peer sent half) is unlinked. Nothing there is fine.
 */
export async function shred({ ports }: StepContext, path: string): Promise<void> {
  const place = (await ports.files.size(path)) === undefined ? undefined : await ports.artifacts.luksPlace(path);
  if (place?.ok === true) await ports.files.blank(path, place.value.offset, place.value.bytes);
  await ports.files.remove(path);
}

/** A file of one artifact: `<artifact>`, `<artifact>.qcow2`, `<artifact>.state`, and what is made beside them. */
type HeldFile = { readonly artifact: ArtifactId; readonly path: string };

async function heldIn({ ports }: StepContext, dir: string): Promise<readonly HeldFile[]> {
  const names = await ports.files.list(dir);
  return names.flatMap((name) => {
    const artifact = artifactId.safeParse(name.split('.')[0]).data;
    return artifact === undefined ? [] : [{ artifact, path: `${dir}/${name}` }];
  });
}

/** What a destroying step sets out to destroy: after a crash files and headers may be gone already. */
export async function lookBeforeShredding(context: StepContext, dirs: readonly string[]): Promise<Seen> {
  const entries: [string, string][] = [];
  for (const dir of dirs) {
    for (const { artifact, path } of await heldIn(context, dir)) {
      const header = await context.ports.artifacts.guard(path);
      const i = entries.length;
      entries.push([`artifact${i}`, artifact]);
      if (header.ok) entries.push([`header${i}`, header.value.headerDigest]);
    }
  }
  return Object.fromEntries(entries);
}

/** Every file of an artifact in these folders, then the folders. */
export async function shredAll(context: StepContext, dirs: readonly string[]): Promise<void> {
  for (const dir of dirs) {
    for (const { path } of await heldIn(context, dir)) await shred(context, path);
    await context.ports.files.remove(dir);
  }
}

/** How each artifact went, by what was seen first: a step is done only when every header seen was overwritten and every file is gone. */
export function fatesOf(seen: Seen): readonly DestroyedArtifact[] {
  const fates = new Map<ArtifactId, DestroyedArtifact>();
  for (const [name, value] of Object.entries(seen)) {
    const artifact = name.startsWith('artifact') ? artifactId.safeParse(value).data : undefined;
    if (artifact === undefined) continue;
    const header = digest.safeParse(seen[`header${name.slice('artifact'.length)}`]).data;
    if (header !== undefined) fates.set(artifact, { artifact, fate: 'header-overwritten', headerDigest: header });
    else if (!fates.has(artifact)) fates.set(artifact, { artifact, fate: 'unlinked' });
  }
  return [...fates.values()];
}

/** The same for the agent's testimony, which knows flat facts only. */
export const fateFacts = (fates: readonly DestroyedArtifact[]): Readonly<Record<string, string>> =>
  Object.fromEntries(
    fates.flatMap(({ artifact, fate, headerDigest }, i) => [
      [`artifact${i}`, artifact],
      [`fate${i}`, fate],
      ...(headerDigest === undefined ? [] : [[`header${i}`, headerDigest]]),
    ]),
  );
