import { constants } from 'node:fs';
import { type FileHandle, open } from 'node:fs/promises';
import { failed, HostError, refused } from '../codes.ts';
import type { StepProgress } from '../command/report.ts';
import { done, type Outcome, setBack } from '../outcome.ts';
import type { RawDisk } from '../raw-disk.ts';

/** O_NONBLOCK: opening a pipe must not wait for a writer. */
const HOW = constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK;
/** stat(2) counts blocks of this many bytes, whatever the file system's own. */
const STAT_BLOCK_BYTES = 512;

/** Why open(2) refused: a link in its place, nothing there, or an accident. */
const REFUSALS: Readonly<Record<string, 'IMPORT_REFUSED' | 'IMPORT_MISSING'>> = {
  ELOOP: 'IMPORT_REFUSED',
  ENXIO: 'IMPORT_REFUSED',
  EACCES: 'IMPORT_REFUSED',
  ENOENT: 'IMPORT_MISSING',
};

export type OpenedRaw = RawDisk & { readonly handle: FileHandle };

/** Opens an operator's file as it is, not where it points to. The caller closes the handle. */
export async function openRaw(path: string): Promise<Outcome<OpenedRaw>> {
  let handle: FileHandle;
  try {
    handle = await open(path, HOW);
  } catch (cause) {
    const errno = cause instanceof Error && 'code' in cause ? String(cause.code) : 'unknown';
    const code = REFUSALS[errno];
    if (code === undefined) throw new HostError(failed('DISK_FAILED', `(${errno})`), { cause });
    return setBack(refused(code, `(${errno})`));
  }
  const facts = await handle.stat();
  if (facts.isFile())
    return done({ handle, sizeBytes: facts.size, allocatedBytes: Math.min(facts.size, facts.blocks * STAT_BLOCK_BYTES) });
  await handle.close();
  return setBack(refused('IMPORT_REFUSED'));
}

/** qemu-img -p prints `    (12.34/100%)`, again and again. */
const PERCENT = /\((\d{1,3}\.\d{2})\/100%\)/g;

/** Turns qemu-img's percentages of a disk into the progress of a step. */
export function progressOf(totalBytes: number, tell: (progress: StepProgress) => void): (printed: string) => void {
  const begun = performance.now();
  return (printed) => {
    const percent = [...printed.matchAll(PERCENT)].at(-1)?.[1];
    if (percent === undefined) return;
    const doneBytes = Math.min(totalBytes, Math.floor((totalBytes * Number(percent)) / 100));
    const seconds = Math.max((performance.now() - begun) / 1_000, 0.001);
    tell({ doneBytes, totalBytes, bytesPerSecond: Math.floor(doneBytes / seconds) });
  };
}
