import { nameOf } from './handles.ts';

/** virDomainState, in the order of its numbers. */
export const DOMAIN_STATES = [
  'nostate',
  'running',
  'blocked',
  'paused',
  'shutdown',
  'shutoff',
  'crashed',
  'pmsuspended',
] as const;
export type DomainStateName = (typeof DOMAIN_STATES)[number] | 'unknown';

/** The reasons of each state, in the order of their numbers (virDomainRunningReason and its siblings). */
const REASONS = {
  nostate: ['unknown'],
  running: [
    'unknown',
    'booted',
    'migrated',
    'restored',
    'from-snapshot',
    'unpaused',
    'migration-canceled',
    'save-canceled',
    'wakeup',
    'crashed',
    'postcopy',
    'postcopy-failed',
  ],
  blocked: ['unknown'],
  paused: [
    'unknown',
    'user',
    'migration',
    'save',
    'dump',
    'ioerror',
    'watchdog',
    'from-snapshot',
    'shutting-down',
    'snapshot',
    'crashed',
    'starting-up',
    'postcopy',
    'postcopy-failed',
    'api-error',
  ],
  shutdown: ['unknown', 'user'],
  shutoff: ['unknown', 'shutdown', 'destroyed', 'crashed', 'migrated', 'saved', 'failed', 'from-snapshot', 'daemon'],
  crashed: ['unknown', 'panicked'],
  pmsuspended: ['unknown'],
  unknown: ['unknown'],
} as const satisfies Readonly<Record<DomainStateName, readonly string[]>>;

export type DomainStateReason = (typeof REASONS)[DomainStateName][number];

export type DomainState = { readonly state: DomainStateName; readonly reason: DomainStateReason };

export function domainState(state: number, reason: number): DomainState {
  const name = nameOf(DOMAIN_STATES, state);
  return { state: name, reason: nameOf(REASONS[name], reason) };
}
