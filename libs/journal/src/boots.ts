import { randomUUID } from 'node:crypto';
import { mkdir, open, readFile, rename } from 'node:fs/promises';
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

/**
 * `<peer>.boot`: the boot, and when the file itself was made. A machine that is set back boots anew; and a folder that is copied back, from an archive, is made of
 * new files. Not seen is a file system that is set back under a machine that goes on: then remove these files.
 *
 * @param boot `bootId()`
 */
export const bootsIn = (dir: string, boot: string): Boots => {
  const pathOf = (peer: TrustDomain): string => join(dir, `${subjectToken(peer)}.boot`);
  return {
    isCompared: async (peer) => {
      try {
        const file = await open(pathOf(peer), 'r');
        try {
          return (await file.readFile('utf8')) === markOf(boot, (await file.stat({ bigint: true })).birthtimeNs);
        } finally {
          await file.close();
        }
      } catch {
        // Not there, or not to be read: then it is compared.
        return false;
      }
    },
    compared: async (peer) => {
      await mkdir(dir, { recursive: true, mode: 0o700 });
      const draft = `${pathOf(peer)}.${randomUUID()}.tmp`;
      const file = await open(draft, 'wx', 0o600);
      try {
        await file.writeFile(markOf(boot, (await file.stat({ bigint: true })).birthtimeNs));
      } finally {
        await file.close();
      }
      await rename(draft, pathOf(peer));
    },
  };
};

const markOf = (boot: string, madeNs: bigint): string => `${boot} ${madeNs}\n`;

/** Linux's id of this boot; where there is none, one of this process: then each start compares. */
export const bootId = async (): Promise<string> =>
  readFile('/proc/sys/kernel/random/boot_id', 'utf8').then(
    (text) => text.trim(),
    () => randomUUID(),
  );
