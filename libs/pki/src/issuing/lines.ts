import type { Digest } from '@carnet/events';
import type { IssuedLine, Register } from './register.ts';

/** A leaf that still counts somewhere: neither ended nor revoked. */
const isLive = ({ revoked }: Register, { serial, notAfter }: IssuedLine, nowMs: number): boolean =>
  !revoked.has(serial) && Date.parse(notAfter) > nowMs;

/** The leaf that was given in place of this one, while it counts: at most one. */
export const successorOf = (register: Register, { digest }: IssuedLine, nowMs: number): IssuedLine | undefined =>
  register.issued.find((one) => one.renews === digest && isLive(register, one, nowMs));

/**
 * All that count of the line of renewals that a certificate stands in, before it and after it: whoever has one of the keys may have
 * got the next leaf for a key of his own, and nobody can tell which renewal was the owner's.
 */
export function liveLine(register: Register, of: IssuedLine, nowMs: number): readonly IssuedLine[] {
  const byDigest = new Map(register.issued.map((one) => [one.digest, one]));
  const isMember = new Map<Digest, boolean>();
  const first = firstOf(byDigest, of);
  // Oldest first: what a leaf renews was decided before it.
  for (const one of register.issued)
    isMember.set(one.digest, one === first || (one.renews !== undefined && isMember.get(one.renews) === true));
  return register.issued.filter((one) => isMember.get(one.digest) === true && isLive(register, one, nowMs));
}

function firstOf(byDigest: ReadonlyMap<Digest, IssuedLine>, of: IssuedLine): IssuedLine {
  let first = of;
  for (let steps = byDigest.size; steps > 0; steps--) {
    const before = first.renews === undefined ? undefined : byDigest.get(first.renews);
    if (before === undefined) return first;
    first = before;
  }
  return first;
}
