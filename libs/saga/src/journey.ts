import type { Digest, Epoch, EventData, MigrationEvent, MigrationId, Timestamp, TrustDomain, VmId } from '@carnet/events';

export type FactType = MigrationEvent['type'];

/** A valid event of a migration, as the fold keeps it. */
export type Fact<T extends FactType = FactType> = {
  readonly digest: Digest;
  readonly time: Timestamp;
  /** The peer's events that its publisher relied on: the causal past of a guard. */
  readonly causes: readonly Digest[];
  readonly data: EventData<T>;
};

/** One fact per type: a second event of a type is void. It is also the table of what may be cited, digest → type. */
export type Facts = { readonly [T in FactType]?: Fact<T> };

export type Side = 'source' | 'target';

export type SourcePhase =
  | 'intended'
  | 'agreed'
  | 'deposited'
  | 'quiesced'
  | 'sealed'
  | 'released'
  | 'retired'
  | 'withdrawn'
  /** The glass is broken: the VM runs here again in a new epoch, or is about to, without the target's word. */
  | 'reclaimed'
  | 'resumed';

export type TargetPhase =
  | 'idle'
  | 'refused'
  | 'offered'
  | 'acknowledged'
  | 'ready'
  | 'verified'
  | 'imported'
  /** The volumes open with keys of the target's own only: `slot` or `full` is done. */
  | 'replaced'
  | 'authorized'
  | 'started'
  | 'healthy'
  | 'rekeyed'
  | 'finalized'
  | 'relinquished'
  /** The source broke the glass after this side had taken the VM: stopped here, and kept. */
  | 'fenced'
  | 'discarded';

/** One attempt: a product. `sourcePhase` moves only on the source's events, `targetPhase` only on the target's. */
export type MigrationState = {
  readonly id: MigrationId;
  readonly vm: VmId;
  readonly epoch: Epoch;
  readonly source: TrustDomain;
  readonly target: TrustDomain;
  readonly sourcePhase: SourcePhase;
  readonly targetPhase: TargetPhase;
  readonly facts: Facts;
};

/** All migrations of one VM between two CSPs, in order of epoch (equal epochs, which only a liar makes: by source). */
export type Journey = { readonly vm: VmId; readonly migrations: readonly MigrationState[] };

export const initialJourney = (vm: VmId): Journey => ({ vm, migrations: [] });

/** Narrows facts to those that a step needs. */
export const hasFacts = <T extends FactType>(
  facts: Facts,
  types: readonly T[],
): facts is Facts & { readonly [K in T]: Fact<K> } => types.every((type) => facts[type] !== undefined);

/** The side that a CSP has in a migration. */
export function sideOf(migration: MigrationState, csp: TrustDomain): Side | undefined {
  if (migration.source === csp) return 'source';
  return migration.target === csp ? 'target' : undefined;
}

export const peerOf = (migration: MigrationState, side: Side): TrustDomain =>
  side === 'source' ? migration.target : migration.source;

/**
 * The migration of that id in which the CSP has that side. Threat: an id is no secret of the two, so a peer opens one of the same id in the other
 * direction; whoever took the first of the two would speak in the peer's.
 */
export const migrationOf = (journey: Journey, id: MigrationId, csp: TrustDomain, side: Side): MigrationState | undefined =>
  journey.migrations.find((m) => m.id === id && m[side] === csp);

/**
 * Whether the source has ended after withdrawing. A source that withdrew once it knew `TargetReady` may have stopped the VM
 * without having recorded it yet: it looks (ResumeVm) and records `SourceResumed` before it is done.
 */
export function mustResume(m: MigrationState): boolean {
  if (m.sourcePhase !== 'withdrawn') return false;
  if (m.facts.SourceQuiesced !== undefined) return true;
  const ready = m.facts.TargetReady;
  return ready !== undefined && (m.facts.MigrationWithdrawn?.causes.includes(ready.digest) ?? false);
}

export const sourceEnded = (m: MigrationState): boolean =>
  m.sourcePhase === 'retired' || m.sourcePhase === 'resumed' || (m.sourcePhase === 'withdrawn' && !mustResume(m));

/** The VM stands still for this move: stopped at its source, and neither started at its target nor running at its source again. */
export const standsStill = (m: MigrationState): boolean =>
  m.facts.SourceQuiesced !== undefined && m.facts.VmStarted === undefined && !sourceEnded(m);

/** What is said while a VM stands still, or may. Asked of what peers say, which may be any text. */
export const SAID_WHILE_STILL: ReadonlySet<string> = new Set<FactType>([
  'SourceQuiesced',
  'ImageSealed',
  'ImageVerified',
  'KeyReleased',
  'KeyImported',
  'StartAuthorized',
  'MigrationWithdrawn',
  'MigrationRelinquished',
  'BreakGlassResumed',
]);

export const targetEnded = (m: MigrationState): boolean =>
  m.targetPhase === 'refused' ||
  m.targetPhase === 'relinquished' ||
  m.targetPhase === 'finalized' ||
  m.targetPhase === 'discarded';

/**
 * The source took the VM back without the target's word, and the target has not said yet that it has nothing of it left: both may
 * have run it. For what is owed and shown; no guard asks it, for it looks at what has merely arrived.
 */
export const isSplitSuspected = (m: MigrationState): boolean =>
  m.facts.BreakGlassResumed !== undefined && m.targetPhase !== 'relinquished' && m.targetPhase !== 'discarded';

/** By the words of both: the source's host ran it again after the glass was broken, and so had the target's. */
export const haveBothRun = ({ facts }: MigrationState): boolean =>
  facts.BreakGlassResumed !== undefined &&
  facts.SourceResumed?.data.ran === true &&
  facts.VmStarted !== undefined &&
  facts.StartAuthorized?.data.startVcpus === true;

/** Ended on both sides. A target that never answered a withdrawn intent owes nothing. */
export const ended = (m: MigrationState): boolean =>
  sourceEnded(m) && (targetEnded(m) || m.targetPhase === 'idle') && !isSplitSuspected(m);

/** The VM's epoch after this migration, by its source's word: a broken glass opened another. */
export const epochAfter = (m: MigrationState): number => m.facts.BreakGlassResumed?.data.opens ?? m.epoch;

/** Highest epoch in the journeys of one VM (one per peer); 0 before the first. The next attempt takes one above. */
export const highestEpoch = (journeys: readonly Journey[]): number =>
  journeys.flatMap((journey) => journey.migrations).reduce((highest, m) => Math.max(highest, epochAfter(m)), 0);
