import type { Journal } from '@carnet/journal';
import type { Escrows, OwedNews } from '@carnet/keys';
import type { Log } from '@carnet/runtime';

export interface EscrowNewsPorts {
  readonly journal: Pick<Journal, 'append' | 'peers'>;
  readonly escrows: Pick<Escrows, 'owedNews' | 'tellOnce' | 'expire'>;
  readonly log: Log;
}

/** A ledger that refused (quarantined, overloaded) is asked again after this; another replica's step is told then. */
const AGAIN_MS = 30_000;

export interface EscrowNews {
  /** Looks now: something is owed. */
  readonly tell: () => void;
  /** Resolves when no look is under way. */
  readonly stop: () => Promise<void>;
}

/**
 * What is owed stands in the database from the step on: a crash at any point repeats a look and loses nothing. Several replicas may look at
 * once; each event is appended once to each ledger, under its row's lock.
 */
export function startEscrowNews(ports: EscrowNewsPorts): EscrowNews {
  let under: Promise<void> | undefined;
  let again = false;
  let stopped = false;
  const look = (): void => {
    if (stopped) return;
    if (under !== undefined) {
      again = true;
      return;
    }
    again = false;
    under = tellAll(ports)
      .catch((cause: unknown) => ports.log.warn({ err: cause }, 'escrow news will be told again'))
      .finally(() => {
        under = undefined;
        if (again) look();
      });
  };
  const timer = setInterval(look, AGAIN_MS);
  timer.unref();
  look();
  return {
    tell: look,
    stop: async () => {
      stopped = true;
      clearInterval(timer);
      await under;
    },
  };
}

/** After a refusal nothing later is told to that peer: its ledger tells the steps in their order. */
async function tellAll({ journal, escrows, log }: EscrowNewsPorts): Promise<void> {
  await escrows.expire();
  const behind = new Set<string>();
  for (const owed of await escrows.owedNews()) {
    // A peer that was removed from the configuration: its ledger is none of ours any more.
    if (behind.has(owed.peer) || !journal.peers.includes(owed.peer)) continue;
    const outcome = await journal.append(owed.peer, async (tx) => ({
      drafts: (await escrows.tellOnce(tx.db, owed)) ? [draftOf(owed)] : [],
      value: null,
    }));
    if (outcome.ok) continue;
    behind.add(owed.peer);
    log.warn({ peer: owed.peer, code: outcome.code, escrow: owed.data.escrow }, 'a peer is still owed an escrow event');
  }
}

const draftOf = ({ peer: _to, ...said }: OwedNews) => ({ ...said, causes: [] });
