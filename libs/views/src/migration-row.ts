import type { MigrationId, MigrationMode, Reason, Timestamp, TrustDomain, VmId } from '@carnet/events';
import { ended, type Fact, type Journey, type MigrationState, summarize } from '@carnet/saga';

/** One migration as lists show it: everything follows from the fold, nothing is remembered. */
export interface MigrationRow {
  readonly migration: MigrationId;
  readonly vm: VmId;
  readonly epoch: number;
  readonly source: TrustDomain;
  readonly target: TrustDomain;
  readonly mode: MigrationMode;
  /** Of the VM: what quotas count. */
  readonly memoryMiB: number;
  readonly diskBytes: number;
  /** The phase that people see. */
  readonly phase: string;
  readonly sourcePhase: string;
  readonly targetPhase: string;
  /** Ended on both ledgers. */
  readonly ended: boolean;
  readonly outcome: MigrationOutcome;
  readonly startedAt: Timestamp;
  readonly updatedAt: Timestamp;
  /** Why it ended early, in the words of whoever ended it. */
  readonly reasons: readonly Reason[];
}

/**
 * `withdrawn`: given up before the source touched the VM. `rolled-back`: the source had stopped it, or was free to, and has recorded
 * (`SourceResumed`) that it is at its source again.
 */
export type MigrationOutcome = 'open' | 'done' | 'rolled-back' | 'refused' | 'withdrawn';

/** Rows of all migrations of a journey, oldest first. */
export const rowsOf = (journey: Journey): readonly MigrationRow[] => journey.migrations.flatMap((m) => rowOf(m) ?? []);

/** `undefined` for a migration without its intent: the fold never makes one. */
export function rowOf(m: MigrationState): MigrationRow | undefined {
  const intent = m.facts.MigrationIntended;
  if (intent === undefined) return undefined;
  const facts = Object.values(m.facts) as readonly Fact[];
  return {
    migration: m.id,
    vm: m.vm,
    epoch: m.epoch,
    source: m.source,
    target: m.target,
    mode: intent.data.mode,
    memoryMiB: intent.data.spec.memoryMiB,
    diskBytes: intent.data.spec.disks.reduce((sum, { capacityBytes }) => sum + capacityBytes, 0),
    phase: summarize(m).phase,
    sourcePhase: m.sourcePhase,
    targetPhase: m.targetPhase,
    ended: ended(m),
    outcome: outcomeOf(m),
    startedAt: intent.time,
    updatedAt: facts.reduce((latest, fact) => (fact.time > latest ? fact.time : latest), intent.time),
    reasons: reasonsOf(m),
  };
}

function outcomeOf(m: MigrationState): MigrationOutcome {
  if (!ended(m)) return 'open';
  if (m.targetPhase === 'finalized') return 'done';
  if (m.targetPhase === 'refused') return 'refused';
  return m.facts.SourceResumed === undefined ? 'withdrawn' : 'rolled-back';
}

/** In the words of whoever ended it first: the other side only followed, and cites what it followed. Clocks decide only where nobody cites. */
function reasonsOf({ facts }: MigrationState): readonly Reason[] {
  if (facts.MigrationRefused !== undefined) return facts.MigrationRefused.data.reasons;
  const { MigrationRelinquished: relinquished, MigrationWithdrawn: withdrawn } = facts;
  if (relinquished === undefined || withdrawn === undefined)
    return [relinquished ?? withdrawn].flatMap((end) => end?.data.reason ?? []);
  if (relinquished.causes.includes(withdrawn.digest)) return [withdrawn.data.reason];
  if (withdrawn.causes.includes(relinquished.digest)) return [relinquished.data.reason];
  return [withdrawn.time < relinquished.time ? withdrawn.data.reason : relinquished.data.reason];
}
