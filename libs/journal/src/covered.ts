import type { Digest } from '@carnet/events';
import type { Peek } from './peek.ts';

/**
 * The events that one verified signed head vouches for: walking back from its digest through `prev`, each digest taken over
 * the very bytes at hand. Their own signatures need no verification (an Ed25519 verification costs more than all the rest).
 *
 * @param head a digest from a head whose signature was verified, or one that is placed already
 */
export function coveredBy(head: Digest, peeks: readonly Peek[]): ReadonlySet<Digest> {
  const byDigest = new Map(peeks.map((claimed) => [claimed.digest, claimed]));
  const covered = new Set<Digest>();
  for (
    let at = byDigest.get(head);
    at !== undefined && !covered.has(at.digest);
    at = at.prev === undefined ? undefined : byDigest.get(at.prev)
  )
    covered.add(at.digest);
  return covered;
}
