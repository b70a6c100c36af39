import { type Digest, GENESIS } from '@carnet/events';
import { digestOf, transcript } from '../bytes.ts';
import type { KeysTables } from './tables.ts';

/** A line of a key's history as its chain covers it. Absent values are null. */
export type ChainedLine = Omit<KeysTables['keys_history'], 'digest' | 'signature'>;

/** Digest of one line: it covers its predecessor's, so no line can be changed, left out or put between others unnoticed. */
export const lineDigest = (line: ChainedLine): Digest =>
  digestOf(
    transcript('carnet/key-history/v1', [
      line.key,
      line.version,
      line.arrival,
      line.position,
      line.from_state ?? '',
      line.to_state,
      line.at,
      line.actor,
      line.reason,
      line.cause ?? '',
      line.prev,
    ]),
  );

/** Lines of one key, oldest first: whether each stands on the one before it. */
export function isChained(lines: readonly (ChainedLine & { readonly digest: string })[]): boolean {
  let prev: string = GENESIS;
  for (const line of lines) {
    if (line.prev !== prev || lineDigest(line) !== line.digest) return false;
    prev = line.digest;
  }
  return true;
}
