import type { Timestamp, TrustDomain } from '@carnet/events';

/** One export's envelopes of one ledger, in the order of the export. Each `open` begins anew. */
export type Copy = {
  readonly source: string;
  /** Whose export it is, by its own word: it decides what a missing tail means, and nothing else. */
  readonly holder: TrustDomain;
  readonly exportedAt: Timestamp;
  open(): AsyncIterator<Uint8Array>;
};

export type LedgerCopies = { readonly publisher: TrustDomain; readonly audience: TrustDomain; readonly copies: readonly Copy[] };

/** The two ledgers of two CSPs: causes never lead outside of them. */
export type LedgerPair = readonly [LedgerCopies, LedgerCopies];

/** A copy that is read once, envelope by envelope. */
export type Reader = {
  readonly copy: Copy;
  /** Envelopes that the copy is known to hold. */
  readonly count: () => number;
  readonly next: () => Promise<Uint8Array | undefined>;
};

export function readerOf(copy: Copy): Reader {
  const iterator = copy.open();
  let count = 0;
  return {
    copy,
    count: () => count,
    next: async () => {
      const { done, value } = await iterator.next();
      if (done === true) return undefined;
      count++;
      return value;
    },
  };
}

/** What stands at one position: usually one envelope, shown by every copy. */
export type Candidate = { readonly bytes: Uint8Array; readonly sources: readonly string[] };

/** Reads one position from all copies side by side. Ended copies show nothing; no candidate is the end. */
export async function readPosition(readers: readonly Reader[]): Promise<readonly Candidate[]> {
  const candidates: Candidate[] = [];
  for (const { copy, next } of readers) {
    const bytes = await next();
    if (bytes === undefined) continue;
    const same = candidates.findIndex((candidate) => Buffer.compare(candidate.bytes, bytes) === 0);
    const known = candidates[same];
    if (known === undefined) candidates.push({ bytes, sources: [copy.source] });
    else candidates[same] = { ...known, sources: [...known.sources, copy.source] };
  }
  return candidates;
}
