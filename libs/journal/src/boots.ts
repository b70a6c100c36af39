import { randomUUID } from 'node:crypto';
import { mkdir, open, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { subjectToken, type TrustDomain } from '@carnet/events';

/**
 * Whether this boot of this machine has compared its own ledgers with what the bus holds of them. Threat: a snapshot sets a machine back with its
 * database and its head files. They are of one moment, so neither shows that the other is behind, and what is decided next takes the place of what was told.
 */
export type Boots = {
  /**
   * Before the peer's head file is opened: that it was put back shows in its times, which the next append takes away. Then this boot has compared nothing with
   * that peer. `undefined`: there is nothing to wait for.
   */
  readonly look: (peer: TrustDomain) => Promise<void> | undefined;
  readonly isCompared: (peer: TrustDomain) => Promise<boolean>;
  readonly compared: (peer: TrustDomain) => Promise<void>;
};

/** Written once, so its inode and the time of its last change say whether this is the folder that it was: a copy that comes back has others. */
const ANCHOR = 'boots';

/**
 * An append changes when a file was written and when it was changed at once, and a file that is made anew is linked as soon as it is on the disk. Whatever
 * puts a file back and keeps the time at which it was written (`rsync -a`, `tar`, `cp -p`) does not.
 */
const TIMES_APART_NS = 10_000_000_000n;

/** The last change of a head file, and whether its times say that it is not the one that was written here. */
const headAt = (path: string): Promise<{ readonly changed: string; readonly isPutBack: boolean } | undefined> =>
  stat(path, { bigint: true }).then(
    ({ ctimeNs, mtimeNs }) => {
      const apart = ctimeNs - mtimeNs;
      return { changed: String(ctimeNs), isPutBack: apart > TIMES_APART_NS || -apart > TIMES_APART_NS };
    },
    () => undefined,
  );

/**
 * `<peer>.boot`: the boot, the state of the anchor, and the last change of the peer's head file when it was compared. A machine that is set back boots anew. Not
 * seen is a file system that is set back under a machine that goes on, or a head file that alone is put back as if it were new, or while a process
 * writes to it: then remove these first.
 *
 * @param boot `bootId()`
 */
export const bootsIn = (dir: string, boot: string): Boots => {
  const pathOf = (peer: TrustDomain, of: 'boot' | 'head'): string => join(dir, `${subjectToken(peer)}.${of}`);
  /** @param flags of open(2): `r`, or `a` to make it if it is not there, and not to change it if it is */
  const mark = async (flags: 'r' | 'a'): Promise<string> => {
    const anchor = await open(join(dir, ANCHOR), flags, 0o600);
    try {
      const { ino, ctimeNs } = await anchor.stat({ bigint: true });
      return `${boot} ${ino} ${ctimeNs}`;
    } finally {
      await anchor.close();
    }
  };
  /** Nothing, where there is nothing to be read. */
  const said = (peer: TrustDomain): Promise<string> => readFile(pathOf(peer, 'boot'), 'utf8').catch(() => '');
  return {
    look: async (peer) => {
      const head = await headAt(pathOf(peer, 'head'));
      const isKnown = head !== undefined && (!head.isPutBack || (await said(peer)).endsWith(` ${head.changed}\n`));
      if (!isKnown) await rm(pathOf(peer, 'boot'), { force: true });
    },
    // Not there, or not to be read: then it is compared.
    isCompared: (peer) =>
      Promise.all([said(peer), mark('r')]).then(
        ([line, now]) => line.startsWith(`${now} `) && line.endsWith('\n'),
        () => false,
      ),
    compared: async (peer) => {
      await mkdir(dir, { recursive: true, mode: 0o700 });
      const head = await headAt(pathOf(peer, 'head'));
      await writeFile(pathOf(peer, 'boot'), `${await mark('a')} ${head?.changed ?? 'none'}\n`, { mode: 0o600 });
    },
  };
};

/** Linux's id of this boot; where there is none, one of this process: then each start compares. */
export const bootId = async (): Promise<string> =>
  readFile('/proc/sys/kernel/random/boot_id', 'utf8').then(
    (text) => text.trim(),
    () => randomUUID(),
  );
