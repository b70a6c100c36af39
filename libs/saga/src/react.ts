import { isBeforeStart, type Timestamp, type TrustDomain, unreachable } from '@carnet/events';
import { agreedRekey, neverRequired } from './checks.ts';
import type { Command, CommandOf, EndCode } from './command.ts';
import { givesUpAt } from './deadlines.ts';
import { sidesEnded, spokenIn } from './intent.ts';
import { type Fact, type Journey, type MigrationState, mustResume, type Side } from './journey.ts';
import { APPEND_MARGIN_MS } from './limits.ts';
import { command, endReason, owe } from './owe.ts';
import { isAfter, shift } from './time.ts';

/**
 * What this CSP owes now, on every migration of the VM that its side has not ended. Pure: recovery after a crash is calling it
 * again. Waiting for the peer owes nothing; an expired wait owes giving up. A deadline never changes the state itself.
 */
export function react(journey: Journey, self: TrustDomain, now: Timestamp): readonly Command[] {
  return journey.migrations.flatMap((m) => {
    if (m.source === self) return sourceOwes(m, now);
    return m.target === self ? targetOwes(journey, m, now) : [];
  });
}

function sourceOwes(m: MigrationState, now: Timestamp): readonly Command[] {
  switch (m.sourcePhase) {
    case 'intended':
      return giveUpSource(m, now) ?? owe(m, 'AgreeOffer');
    case 'agreed':
      return giveUpSource(m, now) ?? owe(m, 'DepositKeys');
    case 'deposited':
      return giveUpSource(m, now) ?? owe(m, 'QuiesceVm');
    case 'quiesced':
      return giveUpSource(m, now) ?? owe(m, 'SealImage');
    case 'sealed':
      return giveUpSource(m, now) ?? owe(m, 'ReleaseKeys');
    case 'released':
      // No timer here: only the target's word can give the VM back.
      return m.facts.MigrationRelinquished ? resume(m, m.facts.MigrationRelinquished) : owe(m, 'RetireSource');
    case 'reclaimed':
      return m.facts.BreakGlassResumed ? resume(m, m.facts.BreakGlassResumed) : [];
    case 'withdrawn':
      return m.facts.MigrationWithdrawn && mustResume(m) ? resume(m, m.facts.MigrationWithdrawn) : [];
    case 'resumed':
    case 'retired':
      return [];
    default:
      return unreachable(m.sourcePhase);
  }
}

function targetOwes(journey: Journey, m: MigrationState, now: Timestamp): readonly Command[] {
  if (m.facts.BreakGlassResumed) return standDown(m, m.facts.BreakGlassResumed);
  switch (m.targetPhase) {
    case 'idle':
      return mayAnswer(journey, m, now) ? owe(m, 'AnswerIntent') : [];
    case 'offered':
      return giveUpTarget(m, now) ?? owe(m, 'AcknowledgeDeposit');
    case 'acknowledged':
      return giveUpTarget(m, now) ?? owe(m, 'ReadyTarget');
    case 'ready':
      return giveUpTarget(m, now) ?? owe(m, 'ReceiveImage');
    case 'verified':
      return giveUpTarget(m, now) ?? owe(m, 'ImportKeys');
    case 'imported':
      return replaceKeys(m) ?? owe(m, 'AuthorizeStart');
    case 'replaced':
      return owe(m, 'AuthorizeStart');
    case 'authorized':
      return owe(m, 'StartVm').map((c) => ({ ...c, rekeyed: m.facts.VolumeRekeyed }));
    case 'started':
      return owe(m, 'ObserveHealth');
    case 'healthy':
      return m.facts.VolumeRekeyed ? owe(m, 'Finalize') : rekeyAfterStart(m);
    case 'rekeyed':
      return owe(m, 'Finalize');
    case 'refused':
    case 'finalized':
    case 'relinquished':
    case 'fenced':
    case 'discarded':
      return [];
    default:
      return unreachable(m.targetPhase);
  }
}

/**
 * The source runs the VM in a higher epoch: this side stops, whatever it was about to do. What never ran here is destroyed, for the
 * source has the same; what may have run is kept, until an operator decides.
 */
function standDown(m: MigrationState, because: Fact<'BreakGlassResumed'>): readonly Command[] {
  switch (m.targetPhase) {
    case 'offered':
    case 'acknowledged':
    case 'ready':
    case 'verified':
    case 'imported':
    case 'replaced':
      return relinquish(m, 'SOURCE_BROKE_GLASS', because);
    case 'authorized':
    case 'started':
    case 'healthy':
    case 'rekeyed':
    case 'finalized':
      return owe(m, 'FenceCopy');
    case 'idle':
    case 'refused':
    case 'relinquished':
    case 'fenced':
    case 'discarded':
      return [];
    default:
      return unreachable(m.targetPhase);
  }
}

/**
 * Before the target's own point of no return: what goes wrong in replacing keys still gives the VM back. `undefined`: nothing of
 * the kind was agreed.
 */
function replaceKeys(m: MigrationState): readonly Command[] | undefined {
  const method = agreedRekey(m);
  return isBeforeStart(method) ? owe(m, 'ReplaceKeys').map((c) => ({ ...c, method })) : undefined;
}

/** Nothing was agreed, and that is said; or it is done now, while the VM runs: until then nothing is final, and the source keeps what it has. */
const rekeyAfterStart = (m: MigrationState): readonly Command[] =>
  agreedRekey(m) === 'full-online'
    ? owe(m, 'ReencryptVolumes').map((c) => ({ ...c, method: 'full-online' }))
    : owe(m, 'RekeyVolumes').map((c) => ({ ...c, method: 'none' }));

/** An intent waits for its answer until the target is through with what came before; too late or withdrawn, it gets none. */
function mayAnswer(journey: Journey, m: MigrationState, now: Timestamp): boolean {
  const offerBy = m.facts.MigrationIntended?.data.offerBy;
  if (m.sourcePhase !== 'intended' || offerBy === undefined || isAfter(shift(now, APPEND_MARGIN_MS), offerBy)) return false;
  return sidesEnded(spokenIn(journey, m.target), m.target);
}

function giveUpSource(m: MigrationState, now: Timestamp): readonly Command[] | undefined {
  const { MigrationIntended: intent, MigrationRefused: refused, MigrationRelinquished: relinquished } = m.facts;
  if (refused) return withdraw(m, 'TARGET_REFUSED', refused);
  if (relinquished) return withdraw(m, 'TARGET_RELINQUISHED', relinquished);
  return intent && expired(m, 'source', now) ? withdraw(m, 'EXPIRED', intent) : undefined;
}

function giveUpTarget(m: MigrationState, now: Timestamp): readonly Command[] | undefined {
  const { MigrationOffered: offer, MigrationWithdrawn: withdrawn } = m.facts;
  if (withdrawn) return relinquish(m, 'SOURCE_WITHDREW', withdrawn);
  return offer && expired(m, 'target', now) ? relinquish(m, 'EXPIRED', offer) : undefined;
}

function expired(m: MigrationState, side: Side, now: Timestamp): boolean {
  const instant = givesUpAt(m, side);
  return instant !== undefined && !isAfter(instant, now);
}

const withdraw = (m: MigrationState, code: EndCode, because: Pick<Fact, 'digest'>): readonly Command[] =>
  command(m, 'Withdraw', because.digest).map((c) => ({ ...c, reason: endReason(code) }));

const relinquish = (m: MigrationState, code: EndCode, because: Pick<Fact, 'digest'>): readonly Command[] =>
  command(m, 'Relinquish', because.digest).map((c) => ({
    ...c,
    reason: endReason(code),
    neverRequired: neverRequired(m, [because.digest]),
  }));

/** `because` is what lets the source run again. A host that has recorded *surrendered* asks for the target's word besides. */
/**
 * What a source that withdrew does if its host holds the VM still all the same. By the ledger it owes this only where it knew of `TargetReady`
 * (`mustResume`); one whose machine was set back may have known, and acted, and forgotten.
 */
export const resumeAfterAll = (m: MigrationState): CommandOf<'ResumeVm'> | undefined =>
  m.sourcePhase === 'withdrawn' && m.facts.MigrationWithdrawn ? resume(m, m.facts.MigrationWithdrawn)[0] : undefined;

const resume = (m: MigrationState, because: Pick<Fact, 'digest'>): readonly CommandOf<'ResumeVm'>[] =>
  command(m, 'ResumeVm', because.digest).map((c) => ({
    ...c,
    cites: because.digest,
    relinquished: m.facts.MigrationRelinquished,
    brokeGlass: m.facts.BreakGlassResumed,
  }));
