import { readdirSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { fileCrlMarks } from './crl-marks.ts';
import { CRL_RECHECK_MS } from './limits.ts';
import type { TrustStore } from './path.ts';
import { readPem } from './pem.ts';

export type TrustFiles = {
  readonly rootFile: string;
  /** Where CRLs lie, `*.der`; of one issuer the highest number counts, wherever it lies. */
  readonly crlDirectories: readonly string[];
  /** The highest CRL numbers seen; on a disk that no restore of a backup sets back, and no other process's. */
  readonly marksFile: string;
};

/**
 * The federation root, read once, and the CRLs, read again whenever one of their directories changes. A directory that cannot be
 * read keeps the CRLs that were known: they age, and then everything fails closed. `crls` is another array only when they changed.
 * What comes into a directory counts within `CRL_RECHECK_MS`; `anew`: at once, for who has just put it there.
 *
 * @throws PkiError MARKS_BROKEN, PEM_MALFORMED
 */
export function openTrustFiles(files: TrustFiles, nowMs: () => number): (anew?: boolean) => TrustStore {
  const roots = readPem(readFileSync(files.rootFile, 'utf8'), 'CERTIFICATE');
  const marks = fileCrlMarks(files.marksFile);
  let store: TrustStore = { roots, crls: readCrls(files.crlDirectories), marks };
  let seen = lookOf(files.crlDirectories);
  let checkedMs = nowMs();
  return (anew = false) => {
    if (!anew && nowMs() - checkedMs < CRL_RECHECK_MS) return store;
    checkedMs = nowMs();
    const look = lookOf(files.crlDirectories);
    if (look === undefined || look === seen) return store;
    try {
      store = { roots, crls: readCrls(files.crlDirectories), marks };
      seen = look;
    } catch {
      // Changing under the look: the next one finds it.
    }
    return store;
  };
}

/** The same, read once and without marks: for who looks and must write nothing. What cannot be read throws. */
export const readTrustFiles = ({ rootFile, crlDirectories }: Omit<TrustFiles, 'marksFile'>): TrustStore => ({
  roots: readPem(readFileSync(rootFile, 'utf8'), 'CERTIFICATE'),
  crls: readCrls(crlDirectories),
});

const crlFiles = (directory: string): readonly string[] =>
  readdirSync(directory)
    .filter((name) => name.endsWith('.der'))
    .map((name) => join(directory, name));

const readCrls = (directories: readonly string[]): readonly Uint8Array[] =>
  directories.flatMap(crlFiles).map((file) => Uint8Array.from(readFileSync(file)));

/** Names, sizes and times of the files; undefined when a directory is out of reach or changing under the look. */
function lookOf(directories: readonly string[]): string | undefined {
  try {
    return directories
      .flatMap(crlFiles)
      .map((file) => {
        const { mtimeMs, size, ino } = statSync(file);
        return `${file} ${ino} ${mtimeMs} ${size}`;
      })
      .join('\n');
  } catch {
    return undefined;
  }
}
