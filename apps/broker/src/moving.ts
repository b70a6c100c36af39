import type { TrustDomain } from '@carnet/events';
import { epochAfter, isSplitSuspected, type Journey, type MigrationState, sourceEnded, targetEnded } from '@carnet/saga';

/** This CSP's side of the migration, once it has spoken in it: what a peer merely claims about a VM counts for nothing. */
export const hasSpoken = (m: MigrationState, self: TrustDomain): boolean =>
  m.source === self || (m.target === self && m.targetPhase !== 'idle');

/** Whether this CSP still has something to do or to wait for in it. */
export const isOpenHere = (m: MigrationState, self: TrustDomain): boolean =>
  hasSpoken(m, self) && !(m.source === self ? sourceEnded(m) : targetEnded(m) && !isSplitSuspected(m));

/**
 * Whether the VM is under way by this CSP's own word. Threat: a peer that opens a migration and never ends it, or never answers
 * one that we ended, would otherwise hold our VM for ever.
 */
export const isMovingHere = (journeys: readonly Journey[], self: TrustDomain): boolean =>
  journeys.some(({ migrations }) => migrations.some((m) => isOpenHere(m, self)));

/**
 * The peer that gave the VM and has not retired its copy: it may not have heard that the VM is here, and break the glass. Threat: the VM is handed on
 * meanwhile; whoever swears that this CSP is fenced is right, and the VM runs at a third that nobody asked and nobody tells.
 */
export const mayTakeBack = (journeys: readonly Journey[], self: TrustDomain): TrustDomain | undefined =>
  journeys.flatMap(({ migrations }) => migrations).find((m) => isGiverWaiting(m, self))?.source;

const isGiverWaiting = (m: MigrationState, self: TrustDomain): boolean =>
  m.target === self && m.facts.KeyImported !== undefined && m.sourcePhase === 'released';

/**
 * Whether one side of it still has to hear of the other. Threat: the peer is removed before it has retired its copy; it never hears that the VM
 * arrived, breaks the glass, and nobody here hears of that.
 */
export const needsPeer = (m: MigrationState, self: TrustDomain): boolean => isOpenHere(m, self) || isGiverWaiting(m, self);

const STARTED: ReadonlySet<MigrationState['targetPhase']> = new Set(['started', 'healthy', 'rekeyed']);

/**
 * Whether all that is open is an arrival whose guest was started here: it is ours then, with its keys, and there is no way back but
 * another migration. One that stopped by itself before it was seen alive would wait for ever if nobody might switch it on.
 */
export const hasStartedHere = (journeys: readonly Journey[], self: TrustDomain): boolean =>
  journeys
    .flatMap(({ migrations }) => migrations)
    .filter((m) => isOpenHere(m, self))
    .every((m) => m.target === self && STARTED.has(m.targetPhase) && !isSplitSuspected(m));

/**
 * An epoch above all attempts in which this CSP took part. Threat: a peer intends with the largest epoch there is, and no epoch
 * is left for us; so what we refused counts only with that very peer, whose ledger demands it.
 */
export function nextEpochWith(journeys: readonly Journey[], self: TrustDomain, peer: TrustDomain): number {
  const counts = journeys
    .flatMap(({ migrations }) => migrations)
    .filter((m) => hasSpoken(m, self) && (m.targetPhase !== 'refused' || m.source === self || m.source === peer));
  return counts.reduce((highest, m) => Math.max(highest, epochAfter(m)), 0) + 1;
}
