import type { Reason } from '@carnet/events';
import { migrationOf } from '@carnet/saga';
import { DEK_VERSION } from '../keys/handover-keys.ts';
import { failed, type Owed, type PerformContext, type Performed, propose, stepOf, unfinished } from './context.ts';
import { brokenGlassFault } from './fence-copy.ts';
import { receiptOf } from './receipt.ts';

/** What a target can end: every command that it owes from the offer on carries the offer. */
export type TargetCommand = Owed<
  | 'Relinquish'
  | 'AcknowledgeDeposit'
  | 'ReadyTarget'
  | 'ReceiveImage'
  | 'ImportKeys'
  | 'ReplaceKeys'
  | 'AuthorizeStart'
  | 'StartVm'
  | 'FenceCopy'
>;

/**
 * Gives the VM back. The host swears first that it will never run this epoch, then everything that came is destroyed, then the
 * peer is told: whoever reads the event may rely on it. A host that may have run a vCPU does not swear, and nothing is published.
 */
export async function relinquish(context: PerformContext, command: TargetCommand, reason: Reason): Promise<Performed> {
  const fault = await brokenGlassFault(context, command);
  if (fault !== undefined) return fault;
  const { MigrationOffered: offer } = command.facts;
  const of = stepOf(command, offer.data.agent.host);
  const sworn = await context.hosts.step(of, 'forswear', async () => ({}));
  if (sworn.kind === 'refused') return failed(sworn.code, sworn.text);
  if (sworn.kind !== 'done') return unfinished(sworn);
  const destroyed = await context.hosts.step(of, 'destroy', async () => ({}));
  if (destroyed.kind === 'refused') return failed(destroyed.code, destroyed.text);
  if (destroyed.kind !== 'done') return unfinished(destroyed);
  return propose(context, command, async (tx, journey) => {
    const keys = await context.keys.discardImported(tx.db, command);
    // Only what this migration brought: the VM may be held here through another, of whatever epoch.
    const isImported = migrationOf(journey, command.migration, context.self, 'target')?.facts.KeyImported !== undefined;
    if (isImported) await context.inventory.remove(tx.db, command.vm);
    return {
      type: 'Relinquish',
      migration: command.migration,
      reason,
      receipt: receiptOf({
        keys: keys.map((key) => ({ key, version: DEK_VERSION })),
        artifacts: destroyed.result.artifacts,
        fates: destroyed.result.fates,
        evidence: destroyed.evidence,
      }),
      ...(sworn.evidence === undefined ? {} : { never: sworn.evidence }),
    };
  });
}

export const relinquishOwed = (context: PerformContext, command: Owed<'Relinquish'>): Promise<Performed> =>
  relinquish(context, command, command.reason);
