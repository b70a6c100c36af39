import { readdirSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { CRL_RECHECK_MS } from './limits.ts';
import type { TrustStore } from './path.ts';
import { readPem } from './pem.ts';

/**
 * The federation root, read once, and the CRLs, read again whenever their directory changes. A directory that cannot be read
 * keeps the CRLs that were known: they age, and then everything fails closed.
 */
export function openTrustFiles(
  files: { readonly rootFile: string; readonly crlDirectory: string },
  nowMs: () => number,
): () => TrustStore {
  const roots = readPem(readFileSync(files.rootFile, 'utf8'), 'CERTIFICATE');
  let store: TrustStore = { roots, crls: readCrls(files.crlDirectory) };
  let seen = markOf(files.crlDirectory);
  let checkedMs = nowMs();
  return () => {
    if (nowMs() - checkedMs < CRL_RECHECK_MS) return store;
    checkedMs = nowMs();
    const mark = markOf(files.crlDirectory);
    if (mark !== undefined && mark !== seen) {
      store = { roots, crls: readCrls(files.crlDirectory) };
      seen = mark;
    }
    return store;
  };
}

const crlFiles = (directory: string): readonly string[] => readdirSync(directory).filter((name) => name.endsWith('.der'));

const readCrls = (directory: string): readonly Uint8Array[] =>
  crlFiles(directory).map((name) => Uint8Array.from(readFileSync(join(directory, name))));

/** Names, sizes and times of the files; undefined when the directory is out of reach or changing under the look. */
function markOf(directory: string): string | undefined {
  try {
    return crlFiles(directory)
      .map((name) => {
        const { mtimeMs, size } = statSync(join(directory, name));
        return `${name} ${mtimeMs} ${size}`;
      })
      .join('\n');
  } catch {
    return undefined;
  }
}
