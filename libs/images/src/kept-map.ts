import { createHash } from 'node:crypto';
import type { BigIntStats } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { type Digest, digest } from '@carnet/events';
import { z } from 'zod';
import { DIGEST_BYTES, KEPT_HEAD_BYTES_MAX } from './limits.ts';

/** The state of a staged file when its map was made durable. Equal states: nothing has written to it since. */
export interface DataState {
  /** Of the kernel that ran then; none where the kernel does not tell. */
  readonly boot: string | null;
  readonly inode: string;
  readonly sizeBytes: string;
  /** Change time in nanoseconds: no program can set it. */
  readonly changed: string;
}

/** Which chunks of a staged file were verified and are durable, as a file beside it says. */
export interface KeptMap {
  readonly root: Digest;
  readonly state: DataState;
  /** One bit per chunk. */
  readonly held: Uint8Array;
}

const headSchema = z.strictObject({
  root: digest,
  state: z.strictObject({ boot: z.string().nullable(), inode: z.string(), sizeBytes: z.string(), changed: z.string() }),
});

const NEWLINE = 0x0a;

/** `SHA-256 of the rest | head as JSON | newline | bits`: a flipped bit would claim a chunk that never came. */
export function encodeKeptMap({ root, state, held }: KeptMap): Buffer {
  const rest = Buffer.concat([Buffer.from(`${JSON.stringify({ root, state })}\n`, 'utf8'), held]);
  return Buffer.concat([createHash('sha256').update(rest).digest(), rest]);
}

/** The map, or `undefined` for anything that is not wholly one. */
export function decodeKeptMap(bytes: Buffer): KeptMap | undefined {
  const rest = bytes.subarray(DIGEST_BYTES);
  const end = rest.subarray(0, KEPT_HEAD_BYTES_MAX).indexOf(NEWLINE);
  if (end < 0 || !createHash('sha256').update(rest).digest().equals(bytes.subarray(0, DIGEST_BYTES))) return undefined;
  const head = headSchema.safeParse(parsed(rest.toString('utf8', 0, end)));
  return head.success ? { ...head.data, held: rest.subarray(end + 1) } : undefined;
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

/** The kernel's name for this boot; a machine that lost power has another one afterwards. */
const bootId = (): Promise<string | null> =>
  readFile('/proc/sys/kernel/random/boot_id', 'utf8').then(
    (text) => text.trim(),
    () => null,
  );

export async function dataState(file: { stat(options: { bigint: true }): Promise<BigIntStats> }): Promise<DataState> {
  const { ino, size, ctimeNs } = await file.stat({ bigint: true });
  return { boot: await bootId(), inode: String(ino), sizeBytes: String(size), changed: String(ctimeNs) };
}

/** Whether a file is as it was. Without a boot id nobody can say. */
export const isUnchanged = (then: DataState, now: DataState): boolean =>
  then.boot !== null &&
  then.boot === now.boot &&
  then.inode === now.inode &&
  then.sizeBytes === now.sizeBytes &&
  then.changed === now.changed;
