import { digest, seq, trustDomain } from '@carnet/events';
import type { Journal, StoredEvent } from '@carnet/journal';
import { expect, it } from 'vitest';
import { exportLines } from './readings.ts';

const [A, B] = [trustDomain.parse('csp-a.example'), trustDomain.parse('csp-b.example')];
const anyDigest = digest.parse('ab'.repeat(32));

it('all ledgers end where they ended in one moment, whatever comes while it is read', async () => {
  const events = (from: number, limit: number) =>
    Array.from({ length: limit }, (_, i) => ({ envelope: Buffer.from(`event ${from + i}`) }) as unknown as StoredEvent);
  let heads: Partial<Record<string, number>> = { [A]: 2, [B]: 1_001 };
  const asked: string[] = [];
  const journal: Pick<Journal, 'self' | 'ledger' | 'heads' | 'checkpoints'> = {
    self: A,
    // A checkpoint covers no more than stood when it was read: it comes before the heads.
    checkpoints: async () => {
      asked.push('checkpoints');
      return [];
    },
    heads: async () => {
      asked.push('heads');
      const now = [A, B].map((publisher) => ({
        publisher,
        audience: publisher === A ? B : A,
        head: { seq: seq.parse(String(heads[publisher])), digest: anyDigest },
        ackedSeq: 0,
        readBackSeq: 0,
        coveredSeq: 0,
      }));
      heads = { [A]: 5_000, [B]: 5_000 };
      return now;
    },
    ledger: async (_, { from = 1, limit = 1_000 } = {}) => events(from, Math.min(limit, 5_000)),
  };
  const keys = {
    usesHead: async () => ({ n: 0, digest: anyDigest }),
    historyLines: async function* () {
      yield* [];
    },
  };
  const counts = new Map<string, number>();
  for await (const line of exportLines(journal, '2026-11-29T10:00:00.000Z', undefined, keys)) {
    const { publisher } = JSON.parse(line);
    if (publisher !== undefined) counts.set(publisher, (counts.get(publisher) ?? 0) + 1);
  }
  expect(Object.fromEntries(counts)).toEqual({ [A]: 2, [B]: 1_001 });
  expect(asked).toEqual(['checkpoints', 'heads']);
});
