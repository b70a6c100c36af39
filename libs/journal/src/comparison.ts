import type { TrustDomain } from '@carnet/events';
import { refuse } from '@carnet/trust';
import type { Appender } from './append.ts';
import type { Boots } from './boots.ts';
import { atMost, pacing } from './bus/pace.ts';
import { JOURNAL_CODES } from './codes.ts';
import { bringHomeFromBus, type OwnOnBus } from './homecoming.ts';
import type { JournalParts } from './journal.ts';
import { COMPARE_WAIT_MS } from './limits.ts';
import { quarantine } from './quarantine.ts';

/** Which own ledgers are still to be compared with what the bus holds of them, before this process decides anything. */
export type Comparisons = {
  readonly isDue: (peer: TrustDomain) => boolean;
  /** `for-all`: no ledger goes on before this one is compared, for what is decided in one may rely on any other. `for-itself`: of a peer that has just come. */
  readonly begin: (peer: TrustDomain, whom: 'for-all' | 'for-itself') => Promise<void>;
  /** Also of a peer that is no more. */
  readonly end: (peer: TrustDomain) => void;
  /** As `append` says. */
  readonly first: (peer: TrustDomain, append: Appender) => Appender;
};

type Due = { readonly whom: 'for-all' | 'for-itself'; readonly sinceMs: number; readonly over: PromiseWithResolvers<void> };

/** @param waitMs how long appends wait for a comparison, from its beginning */
export function openComparisons(boots: Boots, waitMs = COMPARE_WAIT_MS): Comparisons {
  const due = new Map<TrustDomain, Due>();
  const before = (peer: TrustDomain): readonly (readonly [TrustDomain, Due])[] =>
    [...due].filter(([other, { whom }]) => other === peer || whom === 'for-all');
  return {
    isDue: (peer) => due.has(peer),
    begin: async (peer, whom) => {
      if (await boots.isCompared(peer)) return;
      due.set(peer, { whom, sinceMs: pacing.nowMs(), over: Promise.withResolvers() });
    },
    end: (peer) => {
      due.get(peer)?.over.resolve();
      due.delete(peer);
    },
    first: (peer, append) => async (plan) => {
      // At a start the bus answers in a moment: nobody need hear of it.
      for (const [, { sinceMs, over }] of before(peer))
        await atMost(Math.max(0, sinceMs + waitMs - pacing.nowMs()), over.promise);
      const left = before(peer).map(([other]) => other);
      return left.length === 0
        ? append(plan)
        : refuse('LEDGER_UNCOMPARED', JOURNAL_CODES.LEDGER_UNCOMPARED.text, { got: left.join(', ') });
    },
  };
}

/**
 * Whether the bus holds anything of our ledger to this peer beyond what is here: then this machine was set back. All own ledgers go into quarantine, and what
 * comes next is brought home. Once for each boot.
 */
export async function compareWithBus(parts: JournalParts, peer: TrustDomain, onBus: OwnOnBus): Promise<void> {
  const { db, options, comparisons } = parts;
  await bringHomeFromBus(parts, peer, onBus, 0, () =>
    quarantine(db, options, `the bus holds events of ours to ${peer} that are not here`),
  );
  await options.boots.compared(peer);
  comparisons.end(peer);
}
