import type { Digest, TrustDomain } from '@carnet/events';
import type { Frozen } from '@carnet/trust';
import { timeOf } from './draft.ts';
import { freezePair, type JournalTx } from './ledgers.ts';
import { PROOFS_MAX } from './limits.ts';
import { peek } from './peek.ts';

export type Conviction = {
  readonly self: TrustDomain;
  readonly peer: TrustDomain;
  readonly code: Frozen['code'];
  /** What is compared: envelopes by digest, and the digests that they disagree about. */
  readonly digests: readonly Digest[];
  /** The signed bytes that do not fit what is placed. */
  readonly envelope: Uint8Array;
  readonly digest: Digest;
  readonly nowMs: number;
};

/** Keeps the signed bytes and freezes new work with the peer. Nothing is placed. */
export async function convict(tx: JournalTx, conviction: Conviction): Promise<void> {
  const { self, peer, code, digests, envelope, digest, nowMs } = conviction;
  const since = timeOf(nowMs);
  const { kept } = await tx
    .selectFrom('proofs')
    .select((select) => select.fn.countAll<number>().as('kept'))
    .where('peer', '=', peer)
    .executeTakeFirstOrThrow();
  if (Number(kept) < PROOFS_MAX)
    await tx
      .insertInto('proofs')
      .values({ digest, peer, code, envelope, noted_at: since })
      .onConflict((conflict) => conflict.doNothing())
      .execute();
  await freezePair(tx, self, peer, { code, since, proof: digests });
}

/**
 * A freeze for an unknown cause ends when that cause is in our ledger after all: we had been restored, and the peer did not
 * lie. A fork never heals by itself. True: thawed.
 */
export async function thawIfHealed(tx: JournalTx, self: TrustDomain, peer: TrustDomain, frozen: Frozen | null): Promise<boolean> {
  const cause = frozen?.code === 'CAUSE_UNKNOWN' ? frozen.proof.at(-1) : undefined;
  if (cause === undefined) return false;
  const found = await tx
    .selectFrom('events')
    .select('digest')
    .where('digest', '=', cause)
    .where('publisher', '=', self)
    .where('audience', '=', peer)
    .executeTakeFirst();
  if (found === undefined) return false;
  await tx
    .updateTable('ledgers')
    .set({ frozen: null })
    .where((where) => where.or([where.and({ publisher: self, audience: peer }), where.and({ publisher: peer, audience: self })]))
    .execute();
  await pardon(tx, self, peer);
  return true;
}

/** What relied on events that we had lost, and hold again, convicts nobody any more: a proof is portable, and this one would accuse an honest peer. */
async function pardon(tx: JournalTx, self: TrustDomain, peer: TrustDomain): Promise<void> {
  const kept = await tx
    .selectFrom('proofs')
    .select(['digest', 'envelope'])
    .where('peer', '=', peer)
    .where('code', '=', 'CAUSE_UNKNOWN')
    .execute();
  for (const { digest, envelope } of kept) {
    const causes = new Set(peek(envelope).causes);
    const { held } = await tx
      .selectFrom('events')
      .select((select) => select.fn.countAll<number>().as('held'))
      .where('publisher', '=', self)
      .where('audience', '=', peer)
      .where('digest', 'in', [...causes])
      .executeTakeFirstOrThrow();
    if (Number(held) === causes.size) await tx.deleteFrom('proofs').where('digest', '=', digest).execute();
  }
}
