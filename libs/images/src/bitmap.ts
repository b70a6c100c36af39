/** One bit per chunk. 16 Mi chunks take 2 MiB. */
export interface Bitmap {
  readonly length: number;
  readonly bytes: Uint8Array;
  has(index: number): boolean;
  add(index: number): void;
  remove(index: number): void;
  /** First member from an index on, or `length` when there is none. */
  next(from: number): number;
}

/** An empty bitmap, or one over given bytes (missing bytes are zero, bits beyond the length are cleared). */
export function bitmap(length: number, from: Uint8Array = new Uint8Array()): Bitmap {
  const bytes = new Uint8Array(Math.ceil(length / 8));
  bytes.set(from.subarray(0, bytes.length));
  if (length % 8 !== 0) bytes[bytes.length - 1] = (bytes[bytes.length - 1] ?? 0) & ((1 << (length % 8)) - 1);
  const byte = (index: number): number => bytes[index >> 3] ?? 0;
  const has = (index: number): boolean => (byte(index) & (1 << (index & 7))) !== 0;
  return {
    length,
    bytes,
    has,
    add(index) {
      if (index < 0 || index >= length) throw new RangeError(`expected an index below ${length}, got ${index}`);
      bytes[index >> 3] = byte(index) | (1 << (index & 7));
    },
    remove(index) {
      bytes[index >> 3] = byte(index) & ~(1 << (index & 7));
    },
    next(at) {
      let index = at;
      while (index < length && !has(index)) index = byte(index) >> (index & 7) === 0 ? (index | 7) + 1 : index + 1;
      return Math.min(index, length);
    },
  };
}

export interface Run {
  readonly first: number;
  readonly count: number;
  /** Last member of the run: when it has come, the run has been answered. */
  readonly last: number;
}

/**
 * Members as ranges of at most `countMax`. A range may stretch over indexes that `within` admits (holes, which both sides
 * skip), so that a sparse image needs few ranges.
 */
export function* runs(members: Bitmap, within: (index: number) => boolean, countMax: number): Generator<Run> {
  for (let first = members.next(0); first < members.length; ) {
    let last = first;
    let end = first + 1;
    for (; end < members.length && end - first < countMax; end++) {
      if (members.has(end)) last = end;
      else if (!within(end)) break;
    }
    yield { first, count: last - first + 1, last };
    first = members.next(last + 1);
  }
}
