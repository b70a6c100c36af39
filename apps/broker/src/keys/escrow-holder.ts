import type { TrustDomain, VmId } from '@carnet/events';
import { homeOf, type Role } from '@carnet/policy';
import { type Journey, summarize } from '@carnet/saga';
import { hasSpoken, isMovingHere } from '../moving.ts';

/**
 * Whether this CSP holds the VM in its current epoch, by the ledgers alone: the last move in which it took part left the key here. Rows of
 * our own are not asked: they may be of a backup from before the VM was given away. Ask where our ledgers are whole (`isBehind`): in a backup they are as old.
 */
export function isHolderByLedgers(vm: VmId, journeys: readonly Journey[], self: TrustDomain): boolean {
  if (isMovingHere(journeys, self)) return false;
  const spoken = journeys.flatMap(({ migrations }) => migrations).filter((m) => hasSpoken(m, self));
  const [first, ...others] = spoken;
  if (first === undefined) return homeOf(vm) === self;
  const last = others.reduce((newest, m) => (m.epoch > newest.epoch ? m : newest), first);
  return summarize(last).custody.at(-1)?.canOpen.includes(self) ?? false;
}

/** Whose terms bind an escrow of the VM's keys: the CSP that handed it over last. The home is bound by nobody's: what comes back is its own. */
export function receivedFrom(vm: VmId, journeys: readonly Journey[], self: TrustDomain): TrustDomain | undefined {
  if (homeOf(vm) === self) return undefined;
  const arrivals = journeys.flatMap(({ migrations }) => migrations).filter((m) => m.target === self && m.facts.KeyImported);
  return arrivals.toSorted((one, other) => other.epoch - one.epoch)[0]?.source;
}

const ASKERS: readonly Role[] = ['operator', 'key-custodian', 'administrator'];

/** What roles let a person do in an escrow. An administrator who holds shares needs the role like everyone: administration is no custody. */
export const dutiesOf = (roles: readonly Role[]): ReadonlySet<'hold' | 'ask'> =>
  new Set([
    ...(roles.includes('custodian') ? (['hold'] as const) : []),
    ...(roles.some((role) => ASKERS.includes(role)) ? (['ask'] as const) : []),
  ]);
