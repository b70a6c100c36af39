import { type Digest, type EventOf, type MigrationEvent, unreachable } from '@carnet/events';
import type { FactType, Side, SourcePhase, TargetPhase } from './journey.ts';

/** An event as the fold judges it: without what places it in a ledger. */
export type Stated<E extends MigrationEvent = MigrationEvent> = E extends MigrationEvent
  ? Omit<E, 'id' | 'v' | 'seq' | 'prev'>
  : never;
export type StatedOf<T extends FactType> = Stated<EventOf<T>>;

type Step<S extends Side, P> = { readonly side: S; readonly from: readonly P[]; readonly to: P };

const source = (from: readonly SourcePhase[], to: SourcePhase): Step<'source', SourcePhase> => ({ side: 'source', from, to });
const target = (from: readonly TargetPhase[], to: TargetPhase): Step<'target', TargetPhase> => ({ side: 'target', from, to });

/**
 * The two tables of the protocol, section 4, for modes cold and suspend: from which of its own phases a side may take a step.
 * What else must hold is in `checks.ts`.
 */
export const STEPS = {
  MigrationIntended: source([], 'intended'),
  OfferAgreed: source(['intended'], 'agreed'),
  KeyDeposited: source(['agreed'], 'deposited'),
  SourceQuiesced: source(['deposited'], 'quiesced'),
  ImageSealed: source(['quiesced'], 'sealed'),
  KeyReleased: source(['sealed'], 'released'),
  SourceRetired: source(['released'], 'retired'),
  MigrationWithdrawn: source(['intended', 'agreed', 'deposited', 'quiesced', 'sealed'], 'withdrawn'),
  BreakGlassResumed: source(['released'], 'reclaimed'),
  SourceResumed: source(['withdrawn', 'released', 'reclaimed'], 'resumed'),

  MigrationOffered: target(['idle'], 'offered'),
  MigrationRefused: target(['idle'], 'refused'),
  DepositAcknowledged: target(['offered'], 'acknowledged'),
  TargetReady: target(['acknowledged'], 'ready'),
  ImageVerified: target(['ready'], 'verified'),
  KeyImported: target(['verified'], 'imported'),
  StartAuthorized: target(['imported', 'replaced'], 'authorized'),
  VmStarted: target(['authorized'], 'started'),
  VmHealthy: target(['started'], 'healthy'),
  /** From `imported` it leads to `replaced`: see {@link targetPhaseAfter}. */
  VolumeRekeyed: target(['imported', 'healthy'], 'rekeyed'),
  MigrationFinalized: target(['healthy', 'rekeyed'], 'finalized'),
  MigrationRelinquished: target(
    ['offered', 'acknowledged', 'ready', 'verified', 'imported', 'replaced', 'authorized'],
    'relinquished',
  ),
  CopyFenced: target(['authorized', 'started', 'healthy', 'rekeyed', 'finalized'], 'fenced'),
  CopyDiscarded: target(['fenced'], 'discarded'),
} as const satisfies { readonly [T in FactType]: Step<'source', SourcePhase> | Step<'target', TargetPhase> };

/** The one event that is said at two places: keys are replaced before the start, or it is said after it that they were not. */
export const targetPhaseAfter = (from: TargetPhase, step: { readonly to: TargetPhase }): TargetPhase =>
  from === 'imported' && step.to === 'rekeyed' ? 'replaced' : step.to;

/**
 * What a host must have recorded before an event is published. Where the event was decided before that, whoever finds it (after a
 * crash, too) has the host do this, and publishes it then.
 */
export const BEFORE_PUBLISHING: { readonly [T in FactType]?: 'surrender' | 'never' } = {
  KeyReleased: 'surrender',
  MigrationRelinquished: 'never',
};

export type Reference = { readonly type: FactType; readonly digest: Digest };

/** The events that an event's data names, each with the type it must have. */
export function referencesOf(e: Stated): readonly Reference[] {
  switch (e.type) {
    case 'MigrationIntended':
    case 'ImageSealed':
      return [];
    case 'MigrationOffered':
    case 'MigrationRefused':
    case 'MigrationWithdrawn':
    case 'MigrationRelinquished':
      return [{ type: 'MigrationIntended', digest: e.data.intent }];
    case 'OfferAgreed':
      return [{ type: 'MigrationOffered', digest: e.data.offer }];
    case 'KeyDeposited':
      return [
        { type: 'MigrationOffered', digest: e.data.offer },
        { type: 'OfferAgreed', digest: e.data.agreed },
      ];
    case 'DepositAcknowledged':
      return [{ type: 'KeyDeposited', digest: e.data.deposit }];
    case 'ImageVerified':
      return [{ type: 'ImageSealed', digest: e.data.sealed }];
    case 'TargetReady':
      return [
        { type: 'OfferAgreed', digest: e.data.agreed },
        { type: 'DepositAcknowledged', digest: e.data.acknowledged },
      ];
    case 'SourceQuiesced':
      return [{ type: 'TargetReady', digest: e.data.ready }];
    case 'KeyReleased':
      return [
        { type: 'TargetReady', digest: e.data.ready },
        { type: 'ImageSealed', digest: e.data.sealed },
        { type: 'ImageVerified', digest: e.data.verified },
        { type: 'KeyDeposited', digest: e.data.deposit },
        { type: 'DepositAcknowledged', digest: e.data.acknowledged },
      ];
    default:
      return afterRelease(e);
  }
}

type AfterRelease = StatedOf<
  | 'KeyImported'
  | 'StartAuthorized'
  | 'VmStarted'
  | 'VmHealthy'
  | 'VolumeRekeyed'
  | 'MigrationFinalized'
  | 'SourceRetired'
  | 'SourceResumed'
  | 'BreakGlassResumed'
  | 'CopyFenced'
  | 'CopyDiscarded'
>;

function afterRelease(e: AfterRelease): readonly Reference[] {
  switch (e.type) {
    case 'KeyImported':
      return [{ type: 'KeyReleased', digest: e.data.release }];
    case 'StartAuthorized':
      return [{ type: 'KeyImported', digest: e.data.imported }];
    case 'VmStarted':
      return [{ type: 'StartAuthorized', digest: e.data.authorized }];
    case 'VmHealthy':
      return [{ type: 'VmStarted', digest: e.data.started }];
    case 'VolumeRekeyed':
      return e.data.method === 'none' ? [] : [{ type: 'KeyImported', digest: e.data.imported }];
    case 'MigrationFinalized':
      return [{ type: 'VmHealthy', digest: e.data.healthy }];
    case 'SourceRetired':
      return [{ type: 'MigrationFinalized', digest: e.data.finalized }];
    case 'BreakGlassResumed':
      return [{ type: 'KeyReleased', digest: e.data.release }];
    case 'CopyFenced':
      return [{ type: 'BreakGlassResumed', digest: e.data.breakGlass }];
    case 'CopyDiscarded':
      return [{ type: 'CopyFenced', digest: e.data.fenced }];
    case 'SourceResumed':
      return []; // its kind depends on the phase: checked in `checks.ts`
    default:
      return unreachable(e);
  }
}
