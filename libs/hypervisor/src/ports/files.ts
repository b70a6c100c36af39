/**
 * The host's file system as steps need it. Every method that changes something returns only when the change survives a
 * power cut. Real: `nodeFiles`; in memory: `memoryFiles`.
 */
export type HostFiles = {
  read(path: string): Promise<Buffer | undefined>;
  /** Bytes of the file, or undefined when there is none. */
  size(path: string): Promise<number | undefined>;
  /** The first bytes of a file; fewer when it is shorter, none when it is missing. */
  head(path: string, bytes: number): Promise<Buffer>;
  /** Names in a directory; empty when there is none. */
  list(dir: string): Promise<readonly string[]>;
  /** Replaces the file as a whole: a reader sees the old or the new content, also after a crash. */
  write(path: string, bytes: Uint8Array): Promise<void>;
  append(path: string, bytes: Uint8Array): Promise<void>;
  /** Cuts a torn tail off. */
  truncate(path: string, sizeBytes: number): Promise<void>;
  /** Overwrites bytes in place with zeros, as far as the file goes. What lies below the file system may keep the old ones. */
  blank(path: string, offset: number, bytes: number): Promise<void>;
  /** What another program wrote survives a power cut, too. */
  flush(path: string): Promise<void>;
  rename(from: string, to: string): Promise<void>;
  /** A second name for a file (hard link), on the same file system; nothing may have that name. */
  alias(path: string, name: string): Promise<void>;
  /** Removes a file or a whole directory; nothing there is fine. */
  remove(path: string): Promise<void>;
  ensureDir(dir: string): Promise<void>;
  freeBytes(dir: string): Promise<number>;
  /** Only tmpfs may hold clear guest memory: it never reaches a disk (swap is the host administrator's duty). */
  isTmpfs(dir: string): Promise<boolean>;
};
