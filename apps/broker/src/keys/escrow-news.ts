import type { Journal } from '@carnet/journal';
import type { Escrows, OwedNews } from '@carnet/keys';
import type { Log } from '@carnet/runtime';
import { type Looking, lookAgain, tellInOrder } from './look-again.ts';

export interface EscrowNewsPorts {
  readonly journal: Pick<Journal, 'append' | 'peers'>;
  readonly escrows: Pick<Escrows, 'owedNews' | 'tellOnce' | 'expire'>;
  readonly log: Log;
}

/** The steps of escrows, told to every peer. Several replicas may look at once; each event is appended once, under its row's lock. */
export const startEscrowNews = (ports: EscrowNewsPorts): Looking =>
  lookAgain(
    () => tellAll(ports),
    (cause) => ports.log.warn({ err: cause }, 'escrow news will be told again'),
  );

async function tellAll({ journal, escrows, log }: EscrowNewsPorts): Promise<void> {
  await escrows.expire();
  await tellInOrder(
    await escrows.owedNews(),
    journal.peers,
    (owed) =>
      journal.append(owed.peer, async (tx) => ({
        drafts: (await escrows.tellOnce(tx.db, owed)) ? [draftOf(owed)] : [],
        value: null,
      })),
    ({ peer, data: { escrow } }, code) => log.warn({ peer, code, escrow }, 'a peer is still owed an escrow event'),
  );
}

const draftOf = ({ peer: _to, ...said }: OwedNews) => ({ ...said, causes: [] });
