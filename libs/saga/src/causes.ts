import type { Digest } from '@carnet/events';
import { spokenIn } from './intent.ts';
import type { FactType, Journey, MigrationState } from './journey.ts';
import { referencesOf, STEPS, type Stated } from './steps.ts';

/** What a target may have said after a release that takes its doubt away: then nobody breaks a glass. */
export const BREAK_GLASS_ANSWERS = [
  'KeyImported',
  'StartAuthorized',
  'MigrationRelinquished',
] as const satisfies readonly FactType[];

/**
 * Events of the peer that a step relies on though its data does not name them. An ending says all that its publisher knew:
 * whether the VM may have been stopped, whether keys were out, is read from it later.
 */
const RELIES_ON: { readonly [T in FactType]?: readonly FactType[] } = {
  MigrationWithdrawn: ['MigrationOffered', 'TargetReady', 'MigrationRefused', 'MigrationRelinquished'],
  SourceResumed: ['MigrationRelinquished'],
  /** Whatever of the target has come by then: the guard voids it after an answer. */
  BreakGlassResumed: BREAK_GLASS_ANSWERS,
  MigrationRelinquished: ['MigrationWithdrawn', 'KeyReleased'],
};

/** How a migration ends on each side: a new one cites the peer's end of the last. */
const ENDS: readonly FactType[] = [
  'MigrationRefused',
  'MigrationRelinquished',
  'MigrationFinalized',
  'CopyDiscarded',
  'MigrationWithdrawn',
  'SourceResumed',
  'SourceRetired',
];

/** Digests of the peer's events for the `causes` of an event that is being drafted. */
export function causesOf(journey: Journey, m: MigrationState | undefined, e: Stated): readonly Digest[] {
  const named = referencesOf(e).filter(({ type }) => STEPS[type].side !== STEPS[e.type].side);
  const last = e.type === 'MigrationIntended' ? spokenIn(journey, e.publisher).at(-1) : undefined;
  const besides = last ? peerFacts(last, e, ENDS) : m ? peerFacts(m, e, RELIES_ON[e.type] ?? []) : [];
  return [...new Set([...named.map(({ digest }) => digest), ...besides])];
}

function peerFacts(m: MigrationState, e: Stated, types: readonly FactType[]): readonly Digest[] {
  const own = m.source === e.publisher ? 'source' : 'target';
  return types.flatMap((type) => (STEPS[type].side === own ? [] : (m.facts[type]?.digest ?? [])));
}
