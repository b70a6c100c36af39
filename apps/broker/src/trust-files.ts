import { readdirSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { readPem, type TrustStore } from '@carnet/pki';

/** CRLs are looked at again this often: a revocation cuts a peer off within 10 s. */
const RECHECK_MS = 2_000;

/**
 * The federation root, read once, and the CRLs, read again whenever their directory changes. A directory that cannot be read
 * keeps the CRLs that were known: they age, and then everything fails closed.
 */
export function openTrustFiles(files: { readonly rootFile: string; readonly crlDirectory: string }, nowMs: () => number): () => TrustStore {
  const roots = readPem(readFileSync(files.rootFile, 'utf8'), 'CERTIFICATE');
  let store: TrustStore = { roots, crls: readCrls(files.crlDirectory) };
  let seen = markOf(files.crlDirectory);
  let checkedMs = nowMs();
  return () => {
    if (nowMs() - checkedMs < RECHECK_MS) return store;
    checkedMs = nowMs();
    const mark = markOf(files.crlDirectory);
    if (mark !== seen && mark !== '') {
      store = { roots, crls: readCrls(files.crlDirectory) };
      seen = mark;
    }
    return store;
  };
}

const crlFiles = (directory: string): readonly string[] => readdirSync(directory).filter((name) => name.endsWith('.der'));

const readCrls = (directory: string): readonly Uint8Array[] => crlFiles(directory).map((name) => Uint8Array.from(readFileSync(join(directory, name))));

/** Names, sizes and times of the files; empty when the directory is out of reach. */
function markOf(directory: string): string {
  try {
    return crlFiles(directory)
      .map((name) => {
        const { mtimeMs, size } = statSync(join(directory, name));
        return `${name} ${mtimeMs} ${size}`;
      })
      .join('\n');
  } catch {
    // A file that vanished between listing and looking: the next look will see a settled directory.
    return '';
  }
}
