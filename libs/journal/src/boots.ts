import { randomUUID } from 'node:crypto';
import { mkdir, open, readFile, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { subjectToken, type TrustDomain } from '@carnet/events';

/**
 * Whether this boot of this machine has compared its own ledgers with what the bus holds of them. Threat: a snapshot sets a machine back with its
 * database and its head files. They are of one moment, so neither shows that the other is behind, and what is decided next takes the place of what was told.
 */
export type Boots = {
  /** Before anything is written to the peer's files: that they were put back shows in their times. */
  readonly look: (peer: TrustDomain) => void;
  readonly isCompared: (peer: TrustDomain) => Promise<boolean>;
  readonly compared: (peer: TrustDomain) => Promise<void>;
};

/** Written once, so its inode and the time of its last change say whether this is the folder that it was: a copy that comes back has others. */
const ANCHOR = 'boots';

/** An append changes when a file was written and when it was changed at once; a file that is made anew is linked once it is on the disk. */
const PUT_BACK_NS = 1_000_000_000n;

/** Of a head file: its last change, and whether it was put back, by whatever keeps the time at which it was written (`rsync -a`, `tar`, `cp -p`). */
const headFileOf = (path: string): Promise<{ readonly changed: string; readonly isPutBack: boolean }> =>
  stat(path, { bigint: true }).then(
    ({ ctimeNs, mtimeNs }) => ({ changed: String(ctimeNs), isPutBack: ctimeNs - mtimeNs > PUT_BACK_NS }),
    () => ({ changed: 'none', isPutBack: true }),
  );

/**
 * `<peer>.boot`: the boot, the state of the anchor, and that of the peer's head file, which says more only if it was put back since. A machine that is set back
 * boots anew. Not seen is a file system that is set back under a machine that goes on, or head files that alone are put back as if they were new: then
 * remove these first.
 *
 * @param boot `bootId()`
 */
export const bootsIn = (dir: string, boot: string): Boots => {
  const pathOf = (peer: TrustDomain, of: 'boot' | 'head'): string => join(dir, `${subjectToken(peer)}.${of}`);
  const looks = new Map<TrustDomain, ReturnType<typeof headFileOf>>();
  const look = (peer: TrustDomain): ReturnType<typeof headFileOf> => {
    const looked = headFileOf(pathOf(peer, 'head'));
    looks.set(peer, looked);
    return looked;
  };
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
  return {
    look,
    // Not there, or not to be read: then it is compared.
    isCompared: (peer) =>
      Promise.all([readFile(pathOf(peer, 'boot'), 'utf8'), mark('r'), looks.get(peer) ?? look(peer)]).then(
        ([said, now, { changed, isPutBack }]) => (isPutBack ? said === `${now} ${changed}\n` : said.startsWith(`${now} `)),
        () => false,
      ),
    compared: async (peer) => {
      await mkdir(dir, { recursive: true, mode: 0o700 });
      const { changed } = await look(peer);
      await writeFile(pathOf(peer, 'boot'), `${await mark('a')} ${changed}\n`, { mode: 0o600 });
    },
  };
};

/** Linux's id of this boot; where there is none, one of this process: then each start compares. */
export const bootId = async (): Promise<string> =>
  readFile('/proc/sys/kernel/random/boot_id', 'utf8').then(
    (text) => text.trim(),
    () => randomUUID(),
  );
