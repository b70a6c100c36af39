import { randomUUID } from 'node:crypto';
import { mkdir, open, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { subjectToken, type TrustDomain } from '@carnet/events';

/**
 * Whether this boot of this machine has compared its own ledgers with what the bus holds of them. Threat: a snapshot sets a machine back with its
 * database and its head files. They are of one moment, so neither shows that the other is behind, and what is decided next takes the place of what was told.
 */
export type Boots = {
  readonly isCompared: (peer: TrustDomain) => Promise<boolean>;
  readonly compared: (peer: TrustDomain) => Promise<void>;
};

/** Written once, so its inode and the time of its last change say whether this is the folder that it was: a copy that comes back has others. */
const ANCHOR = 'boots';

/**
 * `<peer>.boot`: the boot, and the state of the anchor. A machine that is set back boots anew. Not seen is a file system that is set back under a machine
 * that goes on, or files that are put back one by one: then remove these first.
 *
 * @param boot `bootId()`
 */
export const bootsIn = (dir: string, boot: string): Boots => {
  const pathOf = (peer: TrustDomain): string => join(dir, `${subjectToken(peer)}.boot`);
  /** @param flags of open(2): `r`, or `a` to make it if it is not there, and not to change it if it is */
  const mark = async (flags: 'r' | 'a'): Promise<string> => {
    const anchor = await open(join(dir, ANCHOR), flags, 0o600);
    try {
      const { ino, ctimeNs } = await anchor.stat({ bigint: true });
      return `${boot} ${ino} ${ctimeNs}\n`;
    } finally {
      await anchor.close();
    }
  };
  return {
    // Not there, or not to be read: then it is compared.
    isCompared: (peer) =>
      Promise.all([readFile(pathOf(peer), 'utf8'), mark('r')]).then(
        ([said, now]) => said === now,
        () => false,
      ),
    compared: async (peer) => {
      await mkdir(dir, { recursive: true, mode: 0o700 });
      await writeFile(pathOf(peer), await mark('a'), { mode: 0o600 });
    },
  };
};

/** Linux's id of this boot; where there is none, one of this process: then each start compares. */
export const bootId = async (): Promise<string> =>
  readFile('/proc/sys/kernel/random/boot_id', 'utf8').then(
    (text) => text.trim(),
    () => randomUUID(),
  );
