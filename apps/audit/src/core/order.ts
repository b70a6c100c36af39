import { CLOCK_SKEW_MS_MAX, evidence, type SignedEvidence, type Timestamp } from '@carnet/events';
import type { FactType, MigrationState } from '@carnet/saga';
import { accept, type Checked, refuse } from '@carnet/trust';

type OrderCode = 'ORDER_BROKEN' | 'TWO_HOLDERS';
type Step = Checked<null, OrderCode>;

/**
 * The steps that must stand before others, written down once more and apart from the fold's guards: an error there would
 * otherwise judge itself.
 */
const BEFORE: readonly (readonly [FactType, FactType])[] = [
  ['MigrationIntended', 'MigrationOffered'],
  ['MigrationOffered', 'OfferAgreed'],
  ['OfferAgreed', 'KeyDeposited'],
  ['KeyDeposited', 'DepositAcknowledged'],
  ['DepositAcknowledged', 'TargetReady'],
  ['TargetReady', 'SourceQuiesced'],
  ['SourceQuiesced', 'ImageSealed'],
  ['ImageSealed', 'ImageVerified'],
  ['TargetReady', 'KeyReleased'],
  ['ImageVerified', 'KeyReleased'],
  ['KeyReleased', 'KeyImported'],
  ['KeyImported', 'StartAuthorized'],
  ['StartAuthorized', 'VmStarted'],
  ['VmStarted', 'VmHealthy'],
  ['VmHealthy', 'MigrationFinalized'],
  ['MigrationFinalized', 'SourceRetired'],
  ['KeyReleased', 'BreakGlassResumed'],
  ['BreakGlassResumed', 'CopyFenced'],
  ['CopyFenced', 'CopyDiscarded'],
];

/** What must hold of one migration by its valid events alone, whatever phase it is in. */
export function checkOrder(m: MigrationState): Step {
  for (const check of [checkSteps, checkPromise, checkNeverBoth, checkStopBeforeStart]) {
    const checked = check(m);
    if (!checked.ok) return checked;
  }
  return accept(null);
}

/** The earlier step exists, and by the clocks (which may differ) it is not later. */
function checkSteps({ facts }: MigrationState): Step {
  for (const [first, then] of BEFORE) {
    const [earlier, later] = [facts[first], facts[then]];
    if (later === undefined) continue;
    if (earlier === undefined) return refuse('ORDER_BROKEN', `${then} stands without ${first}`);
    if (isBefore(earlier.time, later.time)) continue;
    return refuse('ORDER_BROKEN', `${then} is dated before ${first}`, { expected: `after ${earlier.time}`, got: later.time });
  }
  return accept(null);
}

/** `false` also for a date that no calendar has. */
const isBefore = (earlier: Timestamp, later: Timestamp): boolean => Date.parse(earlier) <= Date.parse(later) + CLOCK_SKEW_MS_MAX;

/** A release outside the target's promise would leave the VM with nobody who is bound to run it. */
function checkPromise({ facts: { KeyReleased: released, TargetReady: ready } }: MigrationState): Step {
  if (released === undefined || ready === undefined || released.time <= ready.data.until) return accept(null);
  return refuse('ORDER_BROKEN', 'the key was released after the target’s promise had ended', {
    expected: ready.data.until,
    got: released.time,
  });
}

/** The source may run again only if the target never will; or by a broken glass, whose quorum is judged with its event. */
function checkNeverBoth({ facts }: MigrationState): Step {
  const {
    SourceResumed: resumed,
    StartAuthorized: authorized,
    KeyReleased: released,
    MigrationRelinquished: relinquished,
  } = facts;
  if (facts.BreakGlassResumed !== undefined) return accept(null);
  if (resumed === undefined || (authorized === undefined && released === undefined)) return accept(null);
  if (relinquished !== undefined && (authorized === undefined || relinquished.data.never !== undefined) && !facts.VmStarted)
    return accept(null);
  return refuse('TWO_HOLDERS', 'the source resumed although the target may run the VM', {
    expected: 'the target’s word that it never will',
    got: resumed.digest,
  });
}

/** By the hosts' own clocks: stopped here before started there. */
function checkStopBeforeStart({ facts: { SourceQuiesced: quiesced, VmStarted: started } }: MigrationState): Step {
  const [stoppedAt, startedAt] = [timeOf(quiesced?.data.evidence), timeOf(started?.data.evidence)];
  if (stoppedAt === undefined || startedAt === undefined || isBefore(stoppedAt, startedAt)) return accept(null);
  return refuse('TWO_HOLDERS', 'the target’s host started the VM before the source’s host had stopped it', {
    expected: `after ${stoppedAt}`,
    got: startedAt,
  });
}

/** Its signature was checked when its event was folded. */
function timeOf(signed: SignedEvidence | undefined): Timestamp | undefined {
  if (signed === undefined) return undefined;
  try {
    return evidence.safeParse(JSON.parse(Buffer.from(signed.payload, 'base64').toString('utf8'))).data?.time;
  } catch {
    return undefined; // no testimony at all: reported with its event
  }
}
