import { mkdir, open, readFile, rename } from 'node:fs/promises';
import { join } from 'node:path';
import { type HeadPosition, headPosition, subjectToken, type TrustDomain } from '@carnet/events';
import { positionOf } from '@carnet/trust';
import { JournalError } from './error.ts';

/**
 * The end of one own ledger, durable outside of the database: a database found behind it was restored or lost power. One
 * directory for each replica; sharing one among replicas of a machine is safe, over a network file system it is not.
 */
export type HeadFile = {
  /** @throws JournalError HEAD_FILE_BROKEN */
  readonly read: () => Promise<HeadPosition>;
  /** As far as this process knows, without looking: what it wrote or read last. */
  readonly known: () => HeadPosition;
  /** Returns once a head at least this far is on disk. Never goes back. */
  readonly reach: (head: HeadPosition) => Promise<void>;
  /** Goes back, on purpose: every peer has sworn that nothing beyond this head was ever heard. */
  readonly settle: (head: HeadPosition) => Promise<void>;
};

export async function openHeadFile(dir: string, audience: TrustDomain): Promise<HeadFile> {
  await mkdir(dir, { recursive: true, mode: 0o700 });
  const path = join(dir, `${subjectToken(audience)}.head`);
  let known: HeadPosition | undefined;
  let turn: Promise<unknown> = Promise.resolve();
  /** One writer at a time; a failed one does not poison the next. */
  const inTurn = <T>(work: () => Promise<T>): Promise<T> => {
    const mine = turn.then(work, work);
    turn = mine.catch(() => undefined);
    return mine;
  };
  const reach = async (head: HeadPosition): Promise<void> => {
    if (known !== undefined && positionOf(known?.seq) >= positionOf(head?.seq)) return;
    // Another replica of this machine may have come further.
    known = await readHead(path);
    if (positionOf(known?.seq) >= positionOf(head?.seq)) return;
    await replaceDurably(dir, path, JSON.stringify(head));
    known = head;
  };
  return {
    read: async () => {
      known = await readHead(path);
      return known;
    },
    known: () => known ?? null,
    reach: (head) => inTurn(() => reach(head)),
    settle: (head) =>
      inTurn(async () => {
        await replaceDurably(dir, path, JSON.stringify(head));
        known = head;
      }),
  };
}

async function readHead(path: string): Promise<HeadPosition> {
  let text: string;
  try {
    text = await readFile(path, 'utf8');
  } catch (cause) {
    if (cause instanceof Error && 'code' in cause && cause.code === 'ENOENT') return null;
    throw new JournalError('HEAD_FILE_BROKEN', path, { cause });
  }
  try {
    return headPosition.parse(JSON.parse(text));
  } catch (cause) {
    throw new JournalError('HEAD_FILE_BROKEN', `${path} holds no head`, { cause });
  }
}

/** Write aside, fsync, rename, fsync the directory: after a power loss there is the old text or the new one, whole. */
async function replaceDurably(dir: string, path: string, text: string): Promise<void> {
  const aside = `${path}.${process.pid}.tmp`;
  const file = await open(aside, 'w', 0o600);
  try {
    await file.writeFile(text);
    await file.sync();
  } finally {
    await file.close();
  }
  await rename(aside, path);
  const directory = await open(dir, 'r');
  try {
    await directory.sync();
  } finally {
    await directory.close();
  }
}
