import {
  ACCREDITATIONS_MAX,
  type BreakGlassDecision,
  type DsseEnvelope,
  type MigrationId,
  type OpenAmounts,
  type PolicyDecision,
  type Reason,
  type Timestamp,
  type TrustDomain,
} from '@carnet/events';
import {
  type ApprovalVerdict,
  decideApproval,
  decideBreakGlass,
  decideMove,
  type Glass,
  levelOf,
  type Move,
  type Person,
  POLICY_CODES,
  type PolicySet,
  permitsNoBreakGlass,
  questionAbout,
  questionsAbout,
  type Role,
  rolesOf,
  tokensAbout,
} from '@carnet/policy';
import { reasonOf } from './reason.ts';

/** What a second person is asked about. */
export type Asked = Pick<Move, 'vm' | 'source' | 'target' | 'mode' | 'spec' | 'request'>;

/** This CSP's policy set, asked with the facts of the moment. */
export interface PolicyGate {
  readonly set: PolicySet;
  readonly asSource: (asked: Move, migration: MigrationId) => Promise<PolicyDecision>;
  readonly asTarget: (intent: Move, migration: MigrationId) => Promise<PolicyDecision>;
  /** May each of these persons break this glass? One decision for each, in that order. */
  readonly breakingGlass: (glass: Glass, persons: readonly string[]) => readonly BreakGlassDecision[];
  /** No policy permits anybody to break a glass. Cedar takes milliseconds for it, and only a doctor asks. */
  readonly isGlassUnpermitted: () => boolean;
  /** May this principal be the second person? */
  readonly approval: (asked: Asked, approver: Person) => ApprovalVerdict;
  /** Other peers to which the same policies would let the VM go. */
  readonly alternatives: (asked: Move, migration: MigrationId) => Promise<readonly Reason[]>;
  /** What accreditors said of this CSP, for its peers to judge. */
  readonly ownAccreditations: readonly DsseEnvelope[];
  readonly roleOf: (principal: string) => readonly Role[];
  /** Of all hosts, up or down. */
  readonly highestLevel: () => number;
}

/** Migrations with a peer that are open, by direction, without the one that is being decided. Counted in turn (`quotas.ts`) for what is appended. */
export type OpenCounts = (
  peer: TrustDomain,
  except: MigrationId,
) => Promise<{ readonly outgoing: OpenAmounts; readonly incoming: OpenAmounts }>;

export interface GatePorts {
  readonly self: TrustDomain;
  readonly set: PolicySet;
  readonly counts: OpenCounts;
  readonly peers: readonly TrustDomain[];
  readonly hosts: readonly string[];
  /** Hosts that are up now. */
  readonly hostsUp: () => readonly string[];
  readonly now: () => Timestamp;
}

/** One set for the life of the process: a changed policy takes a restart, so that no decision falls between two sets. */
export function openPolicyGate({ self, set, counts, peers, hosts, hostsUp, now }: GatePorts): PolicyGate {
  const highest = (of: readonly string[]): number => Math.max(0, ...of.map((host) => levelOf(set, host)));
  const asSource: PolicyGate['asSource'] = async (asked, migration) => {
    const { outgoing } = await counts(asked.target, migration);
    const question = questionAbout(asked, { action: 'send', time: now(), open: outgoing });
    return decideMove(set, question, asked);
  };
  return {
    set,
    asSource,
    asTarget: async (intent, migration) => {
      const { incoming } = await counts(intent.source, migration);
      const question = questionAbout(intent, { action: 'receive', time: now(), open: incoming, hostLevel: highest(hostsUp()) });
      return decideMove(set, question, intent);
    },
    breakingGlass: (glass, persons) =>
      questionsAbout(glass, persons, now()).map((question) => decideBreakGlass(set, question, glass)),
    isGlassUnpermitted: () => permitsNoBreakGlass(set),
    approval: ({ vm, source, target, mode, spec, request }, approver) =>
      decideApproval(set, { vm, source, target, mode, time: now(), approver, asker: request.principal }, spec),
    alternatives: async (asked, migration) => {
      const others: Reason[] = [];
      for (const target of peers.filter((one) => one !== asked.target)) {
        const decision = await asSource({ ...asked, target }, migration);
        if (decision.allowed) others.push(reasonOf('ALTERNATIVE', `${target}: ${POLICY_CODES.ALTERNATIVE.text}`));
      }
      return others;
    },
    ownAccreditations: tokensAbout(set.crypto, set.accreditations, self).slice(0, ACCREDITATIONS_MAX),
    roleOf: (principal) => rolesOf(set, principal),
    highestLevel: () => highest(hosts),
  };
}
