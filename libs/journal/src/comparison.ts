import type { TrustDomain } from '@carnet/events';
import { refuse } from '@carnet/trust';
import type { Appender } from './append.ts';
import type { Boots } from './boots.ts';
import { atMost } from './bus/pace.ts';
import { JOURNAL_CODES } from './codes.ts';
import type { OwnOnBus } from './doubt.ts';
import { bringHome } from './homecoming.ts';
import type { JournalParts } from './journal.ts';
import { readLedger } from './ledgers.ts';
import { COMPARE_WAIT_MS } from './limits.ts';
import { quarantine } from './quarantine.ts';

/** Which own ledgers are still to be compared with what the bus holds of them, before this process decides anything. */
export type Comparisons = {
  readonly isDue: (peer: TrustDomain) => boolean;
  readonly begin: (peer: TrustDomain) => Promise<void>;
  /** Also of a peer that is no more. */
  readonly end: (peer: TrustDomain) => void;
  /** As `append` says: a decision in one ledger may rely on any other. */
  readonly first: (append: Appender) => Appender;
};

export function openComparisons(boots: Boots, waitMs = COMPARE_WAIT_MS): Comparisons {
  const due = new Set<TrustDomain>();
  let over = Promise.withResolvers<void>();
  return {
    isDue: (peer) => due.has(peer),
    begin: async (peer) => {
      if (await boots.isCompared(peer)) return;
      if (due.size === 0) over = Promise.withResolvers<void>();
      due.add(peer);
    },
    end: (peer) => {
      if (due.delete(peer) && due.size === 0) over.resolve();
    },
    first: (append) => async (plan) => {
      // At a start the bus answers in a moment: nobody need hear of it.
      if (due.size > 0) await atMost(waitMs, over.promise);
      return due.size === 0
        ? append(plan)
        : refuse('LEDGER_UNCOMPARED', JOURNAL_CODES.LEDGER_UNCOMPARED.text, { got: [...due].join(', ') });
    },
  };
}

/**
 * What the bus holds of our ledger to this peer beyond what is here: then this machine was set back. All own ledgers go into quarantine, and what was told
 * comes home. Once for each boot.
 */
export async function compareWithBus(parts: JournalParts, peer: TrustDomain, onBus: OwnOnBus): Promise<void> {
  const { db, options, comparisons } = parts;
  if (!comparisons.isDue(peer)) return;
  const headSeq = async (): Promise<number> => (await readLedger(db, { publisher: options.self, audience: peer })).head_seq;
  for (;;) {
    const from = await headSeq();
    const found = await onBus(from, 0);
    if (found.length === 0) break;
    // Another replica decided it meanwhile.
    if ((await headSeq()) > from) continue;
    await quarantine(db, options, `the bus holds events of ours to ${peer} that are not here`);
    if (!(await bringHome(parts, peer, found))) break;
  }
  await options.boots.compared(peer);
  comparisons.end(peer);
}
