import { randomUUID } from 'node:crypto';
import { constants } from 'node:fs';
import { link, mkdir, open, readdir, readFile, rename, rm, stat, statfs, unlink } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { failed, HostError } from './codes.ts';
import type { HostFiles } from './ports/files.ts';

/** statfs(2) `f_type` of tmpfs. */
const TMPFS_MAGIC = 0x01021994;
const PRIVATE_FILE = 0o600;
const PRIVATE_DIR = 0o700;

const isErrno = (cause: unknown, code: string): boolean => cause instanceof Error && 'code' in cause && cause.code === code;

/** Absence is an answer; every other failure of the file system is an accident. */
async function unlessMissing<T>(work: () => Promise<T>): Promise<T | undefined> {
  try {
    return await work();
  } catch (cause) {
    if (isErrno(cause, 'ENOENT')) return undefined;
    throw cause;
  }
}

async function guarded<T>(work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (cause) {
    const errno = cause instanceof Error && 'code' in cause ? String(cause.code) : 'unknown';
    throw new HostError(failed(errno === 'ENOSPC' ? 'NO_ROOM' : 'DISK_FAILED', `(${errno})`), { cause });
  }
}

/** A rename or a new name survives a power cut only when its directory is flushed, too. */
async function flushDir(dir: string): Promise<void> {
  const handle = await open(dir, constants.O_RDONLY | constants.O_DIRECTORY);
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}

/** Of its own name for each write: two may replace one file at once. */
const unfinishedName = (path: string): string => `${path}.${randomUUID()}.partial`;
const UNFINISHED = /\.[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}\.partial$/;

/**
 * Removes what writes that a crash cut off have left in a directory and below it. For an agent that starts: nobody else writes there, and what
 * lies beside a lease or a share would be taken for one. @returns the paths of what was removed
 */
export const removeUnfinished = (dir: string): Promise<readonly string[]> =>
  guarded(async () => {
    const names = (await unlessMissing(() => readdir(dir, { recursive: true }))) ?? [];
    const left = names.filter((name) => UNFINISHED.test(name)).map((name) => join(dir, name));
    for (const path of left) {
      await rm(path, { force: true });
      await flushDir(dirname(path));
    }
    return left;
  });

async function writeWhole(path: string, bytes: Uint8Array): Promise<void> {
  const partial = unfinishedName(path);
  const handle = await open(partial, 'wx', PRIVATE_FILE);
  try {
    try {
      await handle.writeFile(bytes);
      await handle.sync();
    } finally {
      await handle.close();
    }
    await rename(partial, path);
  } catch (cause) {
    await unlink(partial).catch(() => undefined);
    throw cause;
  }
  await flushDir(dirname(path));
}

async function appendFlushed(path: string, bytes: Uint8Array): Promise<void> {
  const isNew = (await unlessMissing(() => stat(path))) === undefined;
  const handle = await open(path, 'a', PRIVATE_FILE);
  try {
    await handle.writeFile(bytes);
    await handle.datasync();
  } finally {
    await handle.close();
  }
  if (isNew) await flushDir(dirname(path));
}

async function cut(path: string, sizeBytes: number): Promise<void> {
  const handle = await open(path, 'r+');
  try {
    await handle.truncate(sizeBytes);
    await handle.sync();
  } finally {
    await handle.close();
  }
}

/** Zeros in steps of this many bytes: a header is some megabytes, and no request asks for more memory than this. */
const BLANK_BYTES = 1_048_576;

async function blankRange(path: string, offset: number, bytes: number): Promise<void> {
  const handle = await open(path, constants.O_WRONLY | constants.O_NOFOLLOW);
  try {
    const end = Math.min(offset + bytes, (await handle.stat()).size);
    const zeros = Buffer.alloc(BLANK_BYTES);
    for (let at = offset; at < end; ) at += (await handle.write(zeros, 0, Math.min(zeros.length, end - at), at)).bytesWritten;
    await handle.sync();
  } finally {
    await handle.close();
  }
}

async function flushFile(path: string): Promise<void> {
  const handle = await open(path, constants.O_RDONLY);
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}

async function readHead(path: string, bytes: number): Promise<Buffer> {
  const handle = await open(path, constants.O_RDONLY);
  try {
    const { bytesRead, buffer } = await handle.read(Buffer.alloc(bytes), 0, bytes, 0);
    return buffer.subarray(0, bytesRead);
  } finally {
    await handle.close();
  }
}

/** The host's own disk. Directories are made private (0700) on the way. */
export const nodeFiles: HostFiles = {
  read: (path) => guarded(() => unlessMissing(() => readFile(path))),
  size: (path) => guarded(async () => (await unlessMissing(() => stat(path)))?.size),
  head: (path, bytes) => guarded(async () => (await unlessMissing(() => readHead(path, bytes))) ?? Buffer.alloc(0)),
  list: (dir) => guarded(async () => (await unlessMissing(() => readdir(dir))) ?? []),
  write: (path, bytes) =>
    guarded(async () => {
      await mkdir(dirname(path), { recursive: true, mode: PRIVATE_DIR });
      await writeWhole(path, bytes);
    }),
  append: (path, bytes) =>
    guarded(async () => {
      await mkdir(dirname(path), { recursive: true, mode: PRIVATE_DIR });
      await appendFlushed(path, bytes);
    }),
  truncate: (path, sizeBytes) => guarded(() => cut(path, sizeBytes)),
  blank: (path, offset, bytes) => guarded(() => blankRange(path, offset, bytes)),
  flush: (path) => guarded(() => flushFile(path)),
  rename: (from, to) =>
    guarded(async () => {
      await rename(from, to);
      await flushDir(dirname(to));
      if (dirname(from) !== dirname(to)) await flushDir(dirname(from));
    }),
  alias: (path, name) =>
    guarded(async () => {
      await link(path, name);
      await flushDir(dirname(name));
    }),
  remove: (path) =>
    guarded(async () => {
      await rm(path, { recursive: true, force: true });
      if ((await unlessMissing(() => stat(dirname(path)))) !== undefined) await flushDir(dirname(path));
    }),
  ensureDir: (dir) =>
    guarded(async () => {
      await mkdir(dir, { recursive: true, mode: PRIVATE_DIR });
    }),
  freeBytes: (dir) =>
    guarded(async () => {
      const { bavail, bsize } = await statfs(dir);
      return bavail * bsize;
    }),
  isTmpfs: (dir) => guarded(async () => (await unlessMissing(() => statfs(dir)))?.type === TMPFS_MAGIC),
};
