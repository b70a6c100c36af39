import { randomUUID } from 'node:crypto';
import { constants, type FileHandle, link, open, readdir, readFile, rename, stat, unlink } from 'node:fs/promises';
import { join } from 'node:path';
import { JournalError } from './error.ts';
import { type Lines, readLines } from './kept-lines.ts';

export type HeadFiles = {
  readonly path: string;
  /** All that the files say. @throws JournalError HEAD_FILE_BROKEN */
  readonly read: () => Promise<Lines>;
  /** At the end of the file, durably. False: it is not there, or another replica took it away meanwhile. */
  readonly append: (lines: Uint8Array) => Promise<boolean>;
  /** From now on whoever appends finds that the file has gone: what is read after it is all that counts. */
  readonly takeAway: () => Promise<void>;
  /** A new file, durably; those that were read before go. False: another replica has placed one. */
  readonly place: (lines: Uint8Array) => Promise<boolean>;
};

/**
 * The files of one ledger: the one of its name, and for a moment those that were taken away to be written anew. Replicas of one
 * machine may write side by side: an append is one write at the end, and counts only if the file has its name afterwards; a file
 * loses its name before it is read for the last time. So whatever counts is in what was read.
 */
export function filesIn(dir: string, name: string): HeadFiles {
  const path = join(dir, name);
  let aside: readonly string[] = [];
  const listAside = async (): Promise<readonly string[]> =>
    (await readdir(dir)).filter((found) => found.startsWith(`${name}.`) && found.endsWith('.old')).sort();

  const textOf = async (file: string): Promise<Uint8Array | undefined> => {
    try {
      return await unlessMissing(readFile(file));
    } catch (cause) {
      throw new JournalError('HEAD_FILE_BROKEN', file, { cause });
    }
  };
  const readAll = async (): Promise<Lines> => {
    for (;;) {
      aside = await listAside();
      const named = await textOf(path);
      const texts = await Promise.all(aside.map((old) => textOf(join(dir, old))));
      // Files that came or went meanwhile: what they hold may be in none that was read.
      if (texts.includes(undefined) || String(await listAside()) !== String(aside)) continue;
      const found = [named, ...texts].filter((text) => text !== undefined);
      const lines = found.length === 0 ? { told: null, events: [], whole: false, marks: 0 } : readLines(found);
      if (lines === undefined) throw new JournalError('HEAD_FILE_BROKEN', `${path} is damaged`);
      return { ...lines, whole: lines.whole && named !== undefined && found.length === 1 };
    }
  };

  const takeAway = async (): Promise<void> => {
    await unlessMissing(rename(path, `${path}.${randomUUID()}.old`));
  };

  return {
    path,
    read: readAll,
    append: async (lines) => {
      const end = await unlessMissing(open(path, constants.O_WRONLY | constants.O_APPEND));
      if (end === undefined) return false;
      return closed(end, async () => {
        try {
          await writeAtOnce(end, lines);
        } catch (cause) {
          // A full disk took a part of it. What another replica would append to that would be lost in its line.
          await takeAway();
          throw cause;
        }
        await end.datasync();
        return (await unlessMissing(stat(path)))?.ino === (await end.stat()).ino;
      });
    },
    takeAway,
    place: async (lines) => {
      const draft = `${path}.${randomUUID()}.tmp`;
      try {
        const file = await open(draft, 'w', 0o600);
        await closed(file, async () => {
          await writeAtOnce(file, lines);
          await file.sync();
        });
        if (!(await linked(draft, path))) return false;
      } finally {
        await unlessMissing(unlink(draft));
      }
      const directory = await open(dir, 'r');
      await closed(directory, () => directory.sync());
      for (const old of aside) await unlessMissing(unlink(join(dir, old)));
      return true;
    },
  };
}

/** Unlike a rename it replaces nothing. */
async function linked(draft: string, path: string): Promise<boolean> {
  try {
    await link(draft, path);
    return true;
  } catch (cause) {
    if (isCode(cause, 'EEXIST')) return false;
    throw cause;
  }
}

/** In one call, which the kernel does not interleave with another process's; a full disk takes a part. */
async function writeAtOnce(file: FileHandle, bytes: Uint8Array): Promise<void> {
  const { bytesWritten } = await file.write(bytes, 0, bytes.length);
  if (bytesWritten < bytes.length)
    throw new Error(`only ${bytesWritten} of ${bytes.length} bytes were written: the disk is full`);
}

async function closed<T>(file: FileHandle, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } finally {
    await file.close();
  }
}

const isCode = (cause: unknown, code: string): boolean => cause instanceof Error && 'code' in cause && cause.code === code;

async function unlessMissing<T>(work: Promise<T>): Promise<T | undefined> {
  try {
    return await work;
  } catch (cause) {
    if (isCode(cause, 'ENOENT')) return undefined;
    throw cause;
  }
}
