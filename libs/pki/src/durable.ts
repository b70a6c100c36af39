import { chownSync, closeSync, fchmodSync, fsyncSync, ftruncateSync, openSync, renameSync, rmSync, writeSync } from 'node:fs';
import { dirname } from 'node:path';

/** `mode`: 0o600 unless it is said. `owner`: for what root writes in the place of the account that uses it. */
export type DurableOptions = {
  readonly mode?: number;
  readonly owner?: { readonly uid: number; readonly gid: number };
};

type Write = (fd: number, bytes: Uint8Array, offset: number) => number;

/** All of it: write(2) may take less than it was given, near a full disk or a quota, and calls that no error. */
export function writeAll(fd: number, content: string | Uint8Array, write: Write = writeSync): void {
  const bytes = typeof content === 'string' ? Buffer.from(content) : content;
  for (let at = 0; at < bytes.length; ) at += write(fd, bytes, at);
}

const draftOf = (file: string): string => `${file}.new`;

/** Whole and on the disk when it returns, or as it was before: written beside, renamed, and the directory flushed. One writer at a time. */
export function writeDurably(file: string, content: string | Uint8Array, options: DurableOptions = {}): void {
  writeDraft(file, content, options);
  renameSync(draftOf(file), file);
  flushDirectory(dirname(file));
}

/** The first half of it: `<file>.new` is whole and on the disk. For files that change together. @returns its name */
export function writeDraft(file: string, content: string | Uint8Array, { mode = 0o600, owner }: DurableOptions = {}): string {
  const draft = draftOf(file);
  // Left behind by a crash.
  rmSync(draft, { force: true });
  const fd = openSync(draft, 'wx', mode);
  try {
    // Whatever the umask is.
    fchmodSync(fd, mode);
    writeAll(fd, content);
    fsyncSync(fd);
  } finally {
    closeSync(fd);
  }
  if (owner !== undefined && process.getuid?.() === 0) chownSync(draft, owner.uid, owner.gid);
  return draft;
}

/** On the disk when it returns, after the first `length` bytes of the file and instead of what followed them. */
export function appendDurably(file: string, length: number, content: string): void {
  const fd = openSync(file, 'a', 0o600);
  try {
    ftruncateSync(fd, length);
    writeAll(fd, content);
    fsyncSync(fd);
  } finally {
    closeSync(fd);
  }
  if (length === 0) flushDirectory(dirname(file));
}

/** A rename is on the disk once its directory is. */
export function flushDirectory(directory: string): void {
  const fd = openSync(directory, 'r');
  try {
    fsyncSync(fd);
  } finally {
    closeSync(fd);
  }
}
