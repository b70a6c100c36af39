import { createPrivateKey, X509Certificate } from 'node:crypto';
import {
  chownSync,
  closeSync,
  existsSync,
  fchmodSync,
  fsyncSync,
  openSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  writeSync,
} from 'node:fs';
import { dirname } from 'node:path';
import { readPem } from '../pem.ts';

/** PEM: leaf and intermediate, and the leaf's private key. */
export type LeafFiles = { readonly certificateFile: string; readonly keyFile: string };

/** The pair before the one of now: what pinned it may need it until it ends. */
export const filesBefore = ({ certificateFile, keyFile }: LeafFiles): LeafFiles => ({
  certificateFile: `${certificateFile}.before`,
  keyFile: `${keyFile}.before`,
});

const draftOf = (file: string): string => `${file}.new`;

/**
 * Puts a new leaf and its key in the place of the old pair, which is kept beside. Two files cannot be renamed at once: the key goes
 * first, and a crash in between leaves a certificate that `settlePair` finishes.
 */
export function replacePair(files: LeafFiles, next: { readonly keyPem: string; readonly certificatePem: string }): void {
  const before = filesBefore(files);
  const owner = statSync(files.keyFile);
  write(before.keyFile, readFileSync(files.keyFile), 0o600, owner);
  write(before.certificateFile, readFileSync(files.certificateFile), 0o644, owner);
  write(draftOf(files.certificateFile), next.certificatePem, 0o644, owner);
  write(draftOf(files.keyFile), next.keyPem, 0o600, owner);
  renameSync(draftOf(files.keyFile), files.keyFile);
  renameSync(draftOf(files.certificateFile), files.certificateFile);
  flush(dirname(files.certificateFile));
  if (dirname(files.keyFile) !== dirname(files.certificateFile)) flush(dirname(files.keyFile));
}

/** Before the first look at the files: what a crash left half done is finished, or as if it had never been begun. */
export function settlePair({ certificateFile, keyFile }: LeafFiles): void {
  const certificate = draftOf(certificateFile);
  const isHalfDone = existsSync(certificate) && !existsSync(draftOf(keyFile)) && isPair(certificate, keyFile);
  if (isHalfDone) renameSync(certificate, certificateFile);
  for (const draft of [certificate, draftOf(keyFile)]) rmSync(draft, { force: true });
}

function isPair(certificateFile: string, keyFile: string): boolean {
  try {
    const [leaf = new Uint8Array()] = readPem(readFileSync(certificateFile, 'utf8'), 'CERTIFICATE');
    return new X509Certificate(leaf).checkPrivateKey(createPrivateKey(readFileSync(keyFile)));
  } catch {
    return false;
  }
}

type Owner = { readonly uid: number; readonly gid: number };

function write(file: string, content: string | Uint8Array, mode: number, { uid, gid }: Owner): void {
  rmSync(file, { force: true });
  const fd = openSync(file, 'wx', mode);
  try {
    fchmodSync(fd, mode);
    writeSync(fd, typeof content === 'string' ? Buffer.from(content) : content);
    fsyncSync(fd);
  } finally {
    closeSync(fd);
  }
  // Renewed by root for the account that uses it.
  if (process.getuid?.() === 0) chownSync(file, uid, gid);
}

function flush(directory: string): void {
  const fd = openSync(directory, 'r');
  try {
    fsyncSync(fd);
  } finally {
    closeSync(fd);
  }
}
