import type { LeafProfile, RevocationReach, RevocationReason } from '@carnet/pki';
import { Option } from 'commander';

// Help is said before any library is loaded; the compiler sees to it that these are all.
const profiles: Readonly<Record<LeafProfile, true>> = {
  broker: true,
  agent: true,
  gateway: true,
  server: true,
  operator: true,
  scheduler: true,
  custodian: true,
  auditor: true,
};
const reasons: Readonly<Record<RevocationReason, true>> = {
  unspecified: true,
  keyCompromise: true,
  cACompromise: true,
  superseded: true,
  cessationOfOperation: true,
};

export const PROFILES: readonly string[] = Object.keys(profiles);

export const reasonOption = (): Option =>
  new Option('--reason <reason>', 'of RFC 5280').choices(Object.keys(reasons)).default('unspecified');
export const oneOnly = (): Option => new Option('--only', 'this certificate alone, not the line of renewals that it stands in');

/** What `reasonOption` and `oneOnly` give. */
export type Reach = { readonly reason: RevocationReason; readonly only?: true };
export const reachOf = (only: true | undefined): RevocationReach => (only === undefined ? 'line' : 'one');

export const REVOKES = `Ends with it whatever still counts of its line of renewals, before it and after it: who has one of the keys may have renewed, and
nobody can tell whose renewal was the owner's. With --only the others stay good, and the leaf before it can be renewed again.`;
