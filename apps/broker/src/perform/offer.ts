import type { PolicyDecision } from '@carnet/events';
import type { Proposal } from '@carnet/saga';
import type { Making, Proposed } from '../ledgers.ts';
import type { Owed, PerformContext } from './context.ts';

export type Offer =
  | { readonly kind: 'no-turn' }
  | { readonly kind: 'denied'; readonly policy: PolicyDecision }
  | { readonly kind: 'proposed'; readonly proposed: Proposed };

const LOST = {
  ok: false,
  code: 'LEASE_LOST',
  text: 'the right to decide about the VM was lost with a database connection',
} as const;

/**
 * Decides once more, in turn, and offers. While room was being reserved others were offered room, too: what they took of the quota counts,
 * and the decision that the offer quotes is made after it.
 */
export async function offerInTurn(
  context: PerformContext,
  command: Owed<'AnswerIntent'>,
  signal: AbortSignal,
  make: (policy: PolicyDecision) => Making<Proposal>,
): Promise<Offer> {
  const { policy, quotas, ledgers } = context;
  const { migration, epoch, vm, peer, facts } = command;
  const turn = await quotas.turn<Offer>(peer, 'incoming', async (lost) => {
    const decided = await policy.asTarget({ ...facts.MigrationIntended.data, epoch }, migration);
    if (!decided.allowed) return { kind: 'denied', policy: decided };
    const proposed = await ledgers.propose(vm, peer, async (tx, journey) =>
      signal.aborted || lost.aborted ? LOST : make(decided)(tx, journey),
    );
    if (proposed.ok) await quotas.note(vm, peer);
    return { kind: 'proposed', proposed };
  });
  return turn.held ? turn.value : { kind: 'no-turn' };
}
