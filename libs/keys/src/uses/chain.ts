import { type Digest, digest, GENESIS, type KeyId, type Timestamp } from '@carnet/events';
import { LIST_MAX } from '../limits.ts';
import type { KeysDb, KeysTx } from '../records/tables.ts';
import type { Holding } from '../vault/hierarchy.ts';
import { type KeyUse, keyUse, type UseContext, type UseOperation, type UseReason, useDigest } from './use.ts';

/** A use to be recorded: what a {@link KeyUse} says but its place in the chain. */
export type NewUse = {
  readonly of: Pick<Holding, 'key' | 'version' | 'arrival'>;
  readonly operation: UseOperation;
  readonly principal: string;
  readonly context: UseContext;
  readonly reason: UseReason;
};

const HEAD_ID = 1;

/** Takes the chain's lock: whoever appends after this transaction sees what it did. */
export const lockChain = (tx: KeysTx) =>
  tx.selectFrom('keys_uses_head').selectAll().where('id', '=', HEAD_ID).forUpdate().executeTakeFirstOrThrow();

/**
 * Appends to the chain in the caller's transaction: the use and its record stand or fall together. Locks the chain until then: callers
 * come with every other lock that they need, and wait for none afterwards.
 */
export async function recordUses(tx: KeysTx, at: Timestamp, uses: readonly NewUse[]): Promise<void> {
  const head = await lockChain(tx);
  let { n, digest: prev } = head;
  for (const { of, operation, principal, context, reason } of uses) {
    n += 1;
    const { key, version, arrival } = of;
    const line = { n, at, key, version, arrival, operation, principal, context: JSON.stringify(context), reason, prev };
    prev = useDigest(line);
    await tx
      .insertInto('keys_uses')
      .values({ ...line, digest: prev })
      .execute();
  }
  await tx.updateTable('keys_uses_head').set({ n, digest: prev }).where('id', '=', HEAD_ID).execute();
}

/** Uses of one key, newest first, at most {@link LIST_MAX}. */
export async function usesOf(db: KeysDb, key: KeyId): Promise<readonly KeyUse[]> {
  const rows = await db.selectFrom('keys_uses').selectAll().where('key', '=', key).orderBy('n', 'desc').limit(LIST_MAX).execute();
  return rows.map((row) => keyUse.parse({ ...row, context: JSON.parse(row.context) }));
}

export type UsesHead = { readonly n: number; readonly digest: Digest };

/** End of the chain as it stands in its own row. */
export async function usesHead(db: KeysDb): Promise<UsesHead> {
  const row = await db.selectFrom('keys_uses_head').selectAll().where('id', '=', HEAD_ID).executeTakeFirstOrThrow();
  return { n: row.n, digest: digest.parse(row.digest) };
}

/** `brokenAt`: the first record that does not stand on the one before it, or is missing. */
export type UsesVerdict = { readonly head: UsesHead; readonly intact: boolean; readonly brokenAt?: number };

/**
 * Walks the whole chain to the head. What it cannot see by itself: a database in which the end was cut off *and* the head's row set back.
 * For that, compare with a head that an auditor noted earlier (it stands in every ledger export).
 */
export async function verifyUses(db: KeysDb): Promise<UsesVerdict> {
  const head = await usesHead(db);
  let prev: string = GENESIS;
  let n = 0;
  while (n < head.n) {
    const rows = await db
      .selectFrom('keys_uses')
      .selectAll()
      .where('n', '>', n)
      .where('n', '<=', head.n)
      .orderBy('n')
      .limit(LIST_MAX)
      .execute();
    for (const row of rows) {
      const { digest: claimed, ...line } = row;
      if (row.n !== n + 1 || row.prev !== prev || useDigest(line) !== claimed) return { head, intact: false, brokenAt: n + 1 };
      prev = claimed;
      n = row.n;
    }
    if (rows.length === 0) return { head, intact: false, brokenAt: n + 1 };
  }
  return prev === head.digest ? { head, intact: true } : { head, intact: false, brokenAt: n + 1 };
}
