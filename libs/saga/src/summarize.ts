import { type Digest, type Timestamp, type TrustDomain, unreachable } from '@carnet/events';
import {
  type FactType,
  isSplitSuspected,
  type MigrationState,
  mustResume,
  type SourcePhase,
  sourceEnded,
  type TargetPhase,
  targetEnded,
} from './journey.ts';

/** The one phase that people see; a pure function of the pair. */
export type Phase =
  | 'requested'
  | 'offered'
  | 'agreed'
  | 'deposited'
  | 'ready'
  | 'quiesced'
  | 'sealed'
  | 'verified'
  | 'released'
  | 'imported'
  | 'starting'
  | 'started'
  | 'healthy'
  | 'finalized'
  | 'retired'
  | 'refused'
  | 'withdrawn'
  | 'rolling-back'
  | 'rolled-back'
  /** The source took the VM back without the target's word: both may have run it. */
  | 'split-suspected';

/** Who could open the image from an instant on, by what the ledgers say. */
export type Custody = {
  readonly at: Timestamp;
  readonly because: Digest;
  readonly event: FactType;
  readonly canOpen: readonly TrustDomain[];
  /** Still keeps the key and has bound itself not to use it. */
  readonly suspended: readonly TrustDomain[];
};

export type Summary = {
  readonly phase: Phase;
  readonly sourcePhase: SourcePhase;
  readonly targetPhase: TargetPhase;
  /** Keys are out and the target has not yet taken the VM: neither side runs it. Shown and alarmed. */
  readonly exposedSince: Timestamp | undefined;
  readonly custody: readonly Custody[];
};

export const summarize = (m: MigrationState): Summary => ({
  phase: phaseOf(m),
  sourcePhase: m.sourcePhase,
  targetPhase: m.targetPhase,
  exposedSince: m.sourcePhase === 'released' && !m.facts.StartAuthorized ? m.facts.KeyReleased?.time : undefined,
  custody: custodyOf(m),
});

export function phaseOf(m: MigrationState): Phase {
  if (isSplitSuspected(m)) return 'split-suspected';
  switch (m.targetPhase) {
    case 'finalized':
      return m.sourcePhase === 'retired' ? 'retired' : 'finalized';
    case 'healthy':
    case 'rekeyed':
      return 'healthy';
    case 'started':
      return 'started';
    case 'authorized':
      return 'starting';
    case 'imported':
    case 'replaced':
      return 'imported';
    case 'refused':
      return 'refused';
    case 'relinquished':
    case 'fenced':
    case 'discarded':
      return windDown(m);
    case 'idle':
    case 'offered':
    case 'acknowledged':
    case 'ready':
    case 'verified':
      return sourceLeads(m);
    default:
      return unreachable(m.targetPhase);
  }
}

function sourceLeads(m: MigrationState): Phase {
  switch (m.sourcePhase) {
    case 'intended':
      return m.targetPhase === 'idle' ? 'requested' : 'offered';
    case 'agreed':
      return 'agreed';
    case 'deposited':
      return m.targetPhase === 'ready' ? 'ready' : 'deposited';
    case 'quiesced':
      return 'quiesced';
    case 'sealed':
      return m.targetPhase === 'verified' ? 'verified' : 'sealed';
    case 'released':
    case 'retired':
      return 'released';
    case 'withdrawn':
    case 'reclaimed':
    case 'resumed':
      return windDown(m);
    default:
      return unreachable(m.sourcePhase);
  }
}

/** Withdrawn: nothing had been stopped. Rolled back: the VM runs at the source again, or had never to stop. */
function windDown(m: MigrationState): Phase {
  const targetDone = targetEnded(m) || m.targetPhase === 'idle';
  if (!sourceEnded(m) || !targetDone) return 'rolling-back';
  return m.sourcePhase === 'resumed' || mustResume(m) || m.facts.KeyDeposited ? 'rolled-back' : 'withdrawn';
}

/**
 * Derived from events alone, in the order in which each follows from the other. A deposit opens nothing. A target that gave up
 * before it knew of the release had destroyed its private key: that release opened nothing either.
 */
function custodyOf(m: MigrationState): readonly Custody[] {
  const { source, target, facts } = m;
  const { KeyReleased: released, MigrationRelinquished: relinquished } = facts;
  const crossed = released !== undefined && relinquished !== undefined && !relinquished.causes.includes(released.digest);
  const entry = (event: FactType, canOpen: readonly TrustDomain[], suspended: readonly TrustDomain[]): readonly Custody[] => {
    const fact = facts[event];
    return fact ? [{ at: fact.time, because: fact.digest, event, canOpen, suspended }] : [];
  };
  if (!released) return entry('MigrationIntended', [source], []);
  if (facts.BreakGlassResumed) {
    return [
      ...entry('MigrationIntended', [source], []),
      ...entry('KeyReleased', crossed ? [] : [target], [source]),
      ...entry('BreakGlassResumed', crossed ? [source] : [source, target], []),
      ...entry('MigrationRelinquished', [source], []),
      ...entry('CopyDiscarded', [source], []),
    ];
  }
  return [
    ...entry('MigrationIntended', [source], []),
    ...entry('KeyReleased', crossed ? [] : [target], [source]),
    ...entry('MigrationRelinquished', [], [source]),
    ...entry('SourceResumed', [source], []),
    ...entry('SourceRetired', [target], []),
  ];
}
