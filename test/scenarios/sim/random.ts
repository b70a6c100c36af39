/** A seeded stream of numbers (xorshift128, seeded by splitmix32). The same seed gives the same stream on every machine. */
export type Random = {
  /** 0 ≤ x < 1. */
  readonly next: () => number;
  /** A whole number, 0 ≤ n < `below`. */
  readonly below: (below: number) => number;
  readonly chance: (probability: number) => boolean;
  readonly pick: <T>(among: readonly T[]) => T;
  readonly bytes: (n: number) => Uint8Array;
};

/** Of what may come always the same: the likely, the first, and half of the time. For a history in which nothing is drawn. */
export const STEADY: Random = {
  next: () => 0.5,
  below: (n) => Math.floor(n / 2),
  chance: (probability) => probability > 0.5,
  pick: ([first]) => {
    if (first === undefined) throw new RangeError('expected something to pick from');
    return first;
  },
  bytes: (n) => new Uint8Array(n),
};

export function seeded(seed: number, stream = 0): Random {
  let mix = (seed ^ Math.imul(stream + 1, 0x9e37_79b9)) >>> 0;
  const split = (): number => {
    mix = (mix + 0x9e37_79b9) >>> 0;
    let z = mix;
    z = Math.imul(z ^ (z >>> 16), 0x85eb_ca6b);
    z = Math.imul(z ^ (z >>> 13), 0xc2b2_ae35);
    return (z ^ (z >>> 16)) >>> 0;
  };
  let [a, b, c, d] = [split() || 1, split(), split(), split()];
  const word = (): number => {
    const t = a ^ (a << 11);
    [a, b, c] = [b, c, d];
    d = (d ^ (d >>> 19) ^ t ^ (t >>> 8)) >>> 0;
    return d;
  };
  const next = (): number => word() / 4_294_967_296;
  const below = (n: number): number => Math.floor(next() * n);
  return {
    next,
    below,
    chance: (probability) => next() < probability,
    pick: (among) => {
      const picked = among[below(among.length)];
      if (picked === undefined) throw new RangeError('expected something to pick from');
      return picked;
    },
    bytes: (n) => Uint8Array.from({ length: n }, () => below(256)),
  };
}
