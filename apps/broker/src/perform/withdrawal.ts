import type { Epoch, MigrationId, Reason, TrustDomain, VmId } from '@carnet/events';
import { migrationOf } from '@carnet/saga';
import type { HandoverKeys } from '../keys/handover-keys.ts';
import type { Ledgers, Proposed } from '../ledgers.ts';
import { memoryOf } from './context.ts';

export interface Attempt {
  readonly vm: VmId;
  readonly peer: TrustDomain;
  readonly migration: MigrationId;
  readonly epoch: Epoch;
}

export interface WithdrawalPorts {
  readonly ledgers: Ledgers;
  readonly keys: Pick<HandoverKeys, 'reinstate' | 'memoryUsed'>;
}

/**
 * Withdraws. In the same transaction Krel is destroyed, so that this attempt can never be released; and the key of the memory
 * state, unless the VM may have been saved with it: then the resume needs it once more, and destroys it.
 */
export const proposeWithdrawal = ({ ledgers, keys }: WithdrawalPorts, attempt: Attempt, reason: Reason): Promise<Proposed> =>
  ledgers.propose(attempt.vm, attempt.peer, async (tx, journey) => {
    await keys.reinstate(tx.db, attempt);
    const facts = migrationOf(journey, attempt.migration, attempt.peer, 'target')?.facts;
    const mayBeSaved = facts?.TargetReady !== undefined || facts?.SourceQuiesced !== undefined;
    if (!mayBeSaved) await keys.memoryUsed(tx.db, attempt.vm, [{ key: memoryOf(attempt.migration).key, kind: 'memory' }]);
    return { type: 'Withdraw', migration: attempt.migration, reason };
  });
