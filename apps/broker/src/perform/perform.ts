import { type MigrationId, type Reason, unreachable } from '@carnet/events';
import type { Outcome } from '@carnet/runtime';
import type { Command } from '@carnet/saga';
import { KeyRefused } from '../keys/handover-keys.ts';
import { answerIntent } from './answer.ts';
import { failed, type PerformContext, type Performed } from './context.ts';
import { fenceCopy } from './fence-copy.ts';
import { reencryptVolumes, replaceKeys } from './rekey.ts';
import { relinquish, relinquishOwed } from './relinquish.ts';
import * as source from './source.ts';
import * as target from './target.ts';

/** First reasons kept, at most: one for each migration that this replica is ending right now. */
const REASONS_MAX = 10_000;

/**
 * Performs one attempt at what is owed. A performer that may not go on ends the migration from its side. Ending takes several
 * steps, and the first reason is the true one: what later steps find (an image that is already destroyed) only follows from it.
 */
export function createPerformer(context: PerformContext): (command: Command) => Promise<Outcome> {
  const firstReasons = new Map<MigrationId, Reason>();
  return async (command) => {
    const performed = await dispatchSafely(context, command);
    if (performed.kind !== 'give-up') return performed;
    const reason = firstReasons.get(command.migration) ?? performed.reason;
    if (firstReasons.size >= REASONS_MAX) firstReasons.clear();
    firstReasons.set(command.migration, reason);
    const ended = await endMigration(context, command, reason);
    // Giving up is itself no rule that could be given up.
    return ended.kind === 'give-up' ? failed(ended.reason.code, ended.reason.text) : ended;
  };
}

/** A key manager's refusal inside a step is a failed attempt: the key may be usable again when it is next tried. */
async function dispatchSafely(context: PerformContext, command: Command): Promise<Performed> {
  try {
    return await dispatch(context, command);
  } catch (cause) {
    if (cause instanceof KeyRefused) return failed(cause.code, cause.message);
    throw cause;
  }
}

function dispatch(context: PerformContext, command: Command): Promise<Performed> {
  switch (command.type) {
    case 'AgreeOffer':
      return source.agreeOffer(context, command);
    case 'DepositKeys':
      return source.depositKeys(context, command);
    case 'QuiesceVm':
      return source.quiesceVm(context, command);
    case 'SealImage':
      return source.sealImage(context, command);
    case 'ReleaseKeys':
      return source.releaseKeys(context, command);
    case 'ResumeVm':
      return source.resumeVm(context, command);
    case 'RetireSource':
      return source.retireSource(context, command);
    case 'Withdraw':
      return source.withdraw(context, command, command.reason);
    case 'AnswerIntent':
      return answerIntent(context, command);
    case 'AcknowledgeDeposit':
      return target.acknowledgeDeposit(context, command);
    case 'ReadyTarget':
      return target.readyTarget(context, command);
    case 'ReceiveImage':
      return target.receiveImage(context, command);
    case 'ImportKeys':
      return target.importKeys(context, command);
    case 'ReplaceKeys':
      return replaceKeys(context, command);
    case 'ReencryptVolumes':
      return reencryptVolumes(context, command);
    case 'AuthorizeStart':
      return target.authorizeStart(context, command);
    case 'StartVm':
      return target.startVm(context, command);
    case 'ObserveHealth':
      return target.observeHealth(context, command);
    case 'RekeyVolumes':
      return target.rekeyVolumes(context, command);
    case 'Finalize':
      return target.finalize(context, command);
    case 'FenceCopy':
      return fenceCopy(context, command);
    case 'Relinquish':
      return relinquishOwed(context, command);
    default:
      return unreachable(command);
  }
}

/** Which end a side may choose by itself depends on what it owes: a source withdraws, a target relinquishes. */
function endMigration(context: PerformContext, command: Command, reason: Reason): Promise<Performed> {
  switch (command.type) {
    case 'AgreeOffer':
    case 'DepositKeys':
    case 'QuiesceVm':
    case 'SealImage':
    case 'ReleaseKeys':
      return source.withdraw(context, command, reason);
    case 'AcknowledgeDeposit':
    case 'ReadyTarget':
    case 'ReceiveImage':
    case 'ImportKeys':
    case 'ReplaceKeys':
    case 'AuthorizeStart':
    case 'StartVm':
    case 'Relinquish':
      return relinquish(context, command, reason);
    case 'AnswerIntent':
    case 'ResumeVm':
    case 'RetireSource':
    case 'Withdraw':
    case 'ObserveHealth':
    case 'RekeyVolumes':
    case 'ReencryptVolumes':
    case 'Finalize':
    case 'FenceCopy':
      return Promise.resolve(failed(reason.code, reason.text));
    default:
      return unreachable(command);
  }
}
