import type { Digest, TrustDomain } from '@carnet/events';
import type { VoidCode } from './codes.ts';
import { epochAfter, type FactType, type Journey, type MigrationState, sourceEnded, targetEnded } from './journey.ts';
import { STEPS, type StatedOf } from './steps.ts';

/**
 * The migrations in which this CSP has spoken: of each it is certain where its own side stands, whatever has arrived of the
 * peer's ledger.
 */
export const spokenIn = (journey: Journey, csp: TrustDomain): readonly MigrationState[] =>
  journey.migrations.filter((m) => m.source === csp || (m.target === csp && m.targetPhase !== 'idle'));

/** Whether the CSP's own side of every migration in which it has spoken is over. */
export const sidesEnded = (spoken: readonly MigrationState[], csp: TrustDomain): boolean =>
  spoken.every((m) => (m.source === csp ? sourceEnded(m) : targetEnded(m)));

/** An epoch that a broken glass opened counts for its own source only: the target may not have heard of it yet. */
export const highestSpoken = (spoken: readonly MigrationState[], csp: TrustDomain): number =>
  spoken.reduce((highest, m) => Math.max(highest, m.source === csp ? epochAfter(m) : m.epoch), 0);

/** Opens a migration: is the VM the publisher's to move, and is everything before it over? */
export function checkIntent(journey: Journey, e: StatedOf<'MigrationIntended'>): VoidCode | undefined {
  if (e.data.source !== e.publisher || e.data.target !== e.audience || e.publisher === e.audience) return 'WRONG_PUBLISHER';
  if (e.data.vm !== journey.vm) return 'VM_MISMATCH';
  const spoken = spokenIn(journey, e.publisher);
  if (spoken.some((m) => m.id === e.migration && m.source === e.publisher)) return 'MIGRATION_REUSED';
  if (e.epoch <= highestSpoken(spoken, e.publisher)) return 'EPOCH_REUSED';
  if (!sidesEnded(spoken, e.publisher)) return 'ALREADY_MOVING';
  const last = spoken.at(-1);
  if (last && !peerEnded(last, e)) return 'PREVIOUS_OPEN';
  return holds(journey, spoken, e) ? undefined : 'VM_NOT_HERE';
}

/** Whether the publisher of `e` has, by then, cited the peer's event of this type. */
function cites(m: MigrationState, type: FactType, csp: TrustDomain, causes: readonly Digest[]): boolean {
  const digest = m.facts[type]?.digest;
  if (digest === undefined) return false;
  const own = m.source === csp ? 'source' : 'target';
  return (
    causes.includes(digest) ||
    Object.entries(m.facts).some(([key, fact]) => isFactType(key) && STEPS[key].side === own && fact.causes.includes(digest))
  );
}

const isFactType = (key: string): key is FactType => Object.hasOwn(STEPS, key);

/** The peer's end of the last migration must be among what the publisher cites; a peer that never offered has none. */
function peerEnded(last: MigrationState, e: StatedOf<'MigrationIntended'>): boolean {
  const cited = (type: FactType): boolean => cites(last, type, e.publisher, e.causes);
  if (last.source === e.publisher && last.facts.BreakGlassResumed)
    return cited('MigrationRelinquished') || cited('CopyDiscarded');
  if (last.source === e.publisher)
    return !cited('MigrationOffered') || cited('MigrationRelinquished') || cited('MigrationFinalized');
  return last.targetPhase !== 'finalized' || cited('SourceRetired');
}

/**
 * Whether the publisher holds the VM, as far as this pair can know: at first its home does, then the target of a finalised
 * migration, else the source. It may have come to the publisher through a third CSP (A → B → C → A); each of those hops took
 * an epoch, so at least one is missing here. The peer, if it still has the VM, refuses: nothing follows from an intent alone.
 */
function holds(journey: Journey, spoken: readonly MigrationState[], e: StatedOf<'MigrationIntended'>): boolean {
  let holder: string = journey.vm.slice(0, journey.vm.indexOf('/'));
  let since = 0;
  for (const m of spoken) {
    const next = holderAfter(m, e.publisher) ?? holder;
    // An attempt of whoever holds the VM says that it was still there.
    if (next !== holder || m.source === holder) since = m.epoch;
    holder = next;
  }
  return holder === e.publisher || e.epoch > since + 1;
}

/** Who held the VM after a migration in which `csp` has spoken and ended; `undefined` when it says nothing about that. */
function holderAfter(m: MigrationState, csp: TrustDomain): TrustDomain | undefined {
  if (m.source === csp) {
    if (m.sourcePhase === 'retired') return m.target;
    // An intent that the peer never offered for is no more than the publisher's own claim.
    return m.sourcePhase === 'resumed' || cites(m, 'MigrationOffered', csp, []) ? m.source : undefined;
  }
  if (m.targetPhase === 'refused') return undefined;
  return m.targetPhase === 'finalized' ? m.target : m.source;
}
