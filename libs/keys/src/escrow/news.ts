import {
  escrowDrilled,
  keyEscrowed,
  keyRecovered,
  recoveryApproved,
  recoveryRequested,
  type TrustDomain,
  trustDomain,
} from '@carnet/events';
import type { Tx } from '@carnet/store';
import { z } from 'zod';
import type { EscrowPorts } from './ports.ts';
import { inEscrow, onEscrow } from './tables.ts';

const news = z.discriminatedUnion('type', [
  z.object({ type: z.literal('KeyEscrowed'), data: keyEscrowed }),
  z.object({ type: z.literal('EscrowDrilled'), data: escrowDrilled }),
  z.object({ type: z.literal('RecoveryRequested'), data: recoveryRequested }),
  z.object({ type: z.literal('RecoveryApproved'), data: recoveryApproved }),
  z.object({ type: z.literal('KeyRecovered'), data: keyRecovered }),
]);
export type EscrowNews = z.infer<typeof news>;
export type EscrowEventType = EscrowNews['type'];

/** An event that a peer is owed. */
export type OwedNews = EscrowNews & { readonly peer: TrustDomain };

/** Stands in the database with the step itself: a crash later loses nothing. */
export async function owe(ports: EscrowPorts, tx: Tx, said: EscrowNews): Promise<void> {
  const db = inEscrow(tx);
  const last = await db
    .selectFrom('keys_escrow_news')
    .select((q) => q.fn.max('n').as('n'))
    .executeTakeFirst();
  const n = (last?.n ?? 0) + 1;
  const data = JSON.stringify(said.data);
  for (const peer of ports.peers())
    await db
      .insertInto('keys_escrow_news')
      .values({ n, statement: said.data.statement, peer, type: said.type, data, told: null })
      .execute();
}

/** In the order in which it happened. */
export async function owedNews(ports: EscrowPorts): Promise<readonly OwedNews[]> {
  const rows = await onEscrow(ports.db)
    .selectFrom('keys_escrow_news')
    .selectAll()
    .where('told', 'is', null)
    .orderBy('n')
    .orderBy('peer')
    .execute();
  return rows.map(({ type, data, peer }) => ({ ...news.parse({ type, data: JSON.parse(data) }), peer: trustDomain.parse(peer) }));
}

/** In the transaction that appends the event: false when it was told before. */
export async function tellOnce(ports: EscrowPorts, tx: Tx, { peer, data }: OwedNews): Promise<boolean> {
  const told = await inEscrow(tx)
    .updateTable('keys_escrow_news')
    .set({ told: ports.now() })
    .where('statement', '=', data.statement)
    .where('peer', '=', peer)
    .where('told', 'is', null)
    .executeTakeFirst();
  return told.numUpdatedRows > 0n;
}
