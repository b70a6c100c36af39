import { existsSync } from 'node:fs';
import { createRootFile, startKeyProcess } from '@carnet/keys';

/**
 * Makes the sealed root at the very first start. Only where there is none: a root that was lost must be restored from its
 * backup, and a new one would not open a single key, so the key manager refuses a root that does not belong to its database.
 */
export async function ensureKeyRoot(files: { readonly rootFile: string; readonly passphraseFile: string }, random: (n: number) => Uint8Array): Promise<void> {
  if (existsSync(files.rootFile)) return;
  const process = startKeyProcess();
  try {
    const made = await createRootFile({ path: files.rootFile, unlock: { kind: 'file', path: files.passphraseFile }, process, random });
    if (!made.ok && made.code !== 'ROOT_FILE_EXISTS') throw new Error(`the key root cannot be made: ${made.code}: ${made.text}`);
  } finally {
    process.close();
  }
}
