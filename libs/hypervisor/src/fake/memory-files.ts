import { failed, HostError } from '../codes.ts';
import type { HostFiles } from '../ports/files.ts';

export type MemoryFiles = HostFiles & {
  /** All paths that hold a file, for tests that ask whether anything was left behind. */
  paths(): readonly string[];
  /** Puts a symbolic link there, which only those who ask learn to be one. */
  link(path: string): void;
  isLink(path: string): boolean;
};

export type MemoryFilesOptions = {
  readonly freeBytes?: number;
  /** Directories that count as tmpfs. */
  readonly tmpfs: readonly string[];
};

/** A file system in memory. What was written is there after a "crash" of the agent: it outlives the agents that use it. */
export function memoryFiles({ freeBytes = 2 ** 40, tmpfs }: MemoryFilesOptions): MemoryFiles {
  /** A file by each of its names. */
  const files = new Map<string, { bytes: Buffer }>();
  const bytesAt = (path: string): Buffer | undefined => files.get(path)?.bytes;
  const dirs = new Set<string>();
  const links = new Set<string>();
  const below = (dir: string): readonly string[] => [...files.keys()].filter((path) => path.startsWith(`${dir}/`));
  const isDir = (path: string): boolean => dirs.has(path) || below(path).length > 0;
  const enter = (path: string): void => {
    for (let at = path.lastIndexOf('/'); at > 0; at = path.lastIndexOf('/', at - 1)) dirs.add(path.slice(0, at));
  };
  const put = (path: string, bytes: Buffer): void => {
    enter(path);
    const file = files.get(path);
    if (file === undefined) files.set(path, { bytes });
    else file.bytes = bytes;
  };
  /** Nothing may be there for a new name. */
  const name = (path: string, as: string): void => {
    const file = files.get(path);
    if (file === undefined) throw new HostError(failed('DISK_FAILED', '(ENOENT)'));
    enter(as);
    files.set(as, file);
  };
  return {
    paths: () => [...files.keys()].sort(),
    link: (path) => void links.add(path),
    isLink: (path) => links.has(path),
    read: async (path) => {
      const bytes = bytesAt(path);
      return bytes === undefined ? undefined : Buffer.from(bytes);
    },
    size: async (path) => bytesAt(path)?.length ?? (isDir(path) ? 0 : undefined),
    head: async (path, bytes) => Buffer.from((bytesAt(path) ?? Buffer.alloc(0)).subarray(0, bytes)),
    list: async (dir) => [...new Set(below(dir).map((path) => path.slice(dir.length + 1).split('/')[0] ?? ''))],
    write: async (path, bytes) => put(path, Buffer.from(bytes)),
    append: async (path, bytes) => put(path, Buffer.concat([bytesAt(path) ?? Buffer.alloc(0), bytes])),
    truncate: async (path, sizeBytes) => put(path, Buffer.from((bytesAt(path) ?? Buffer.alloc(0)).subarray(0, sizeBytes))),
    blank: async (path, offset, bytes) => {
      const whole = Buffer.from(bytesAt(path) ?? Buffer.alloc(0));
      put(path, whole.fill(0, offset, Math.min(offset + bytes, whole.length)));
    },
    flush: async () => undefined,
    rename: async (from, to) => {
      name(from, to);
      files.delete(from);
    },
    alias: async (path, as) => {
      if (files.has(as)) throw new HostError(failed('DISK_FAILED', '(EEXIST)'));
      name(path, as);
    },
    remove: async (path) => {
      files.delete(path);
      for (const inside of below(path)) files.delete(inside);
      for (const dir of dirs) if (dir === path || dir.startsWith(`${path}/`)) dirs.delete(dir);
    },
    ensureDir: async (dir) => {
      enter(`${dir}/.`);
    },
    freeBytes: async () => freeBytes,
    isTmpfs: async (dir) => tmpfs.includes(dir),
  };
}
