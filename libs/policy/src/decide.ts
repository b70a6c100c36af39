import type { EventData, IntentRequest, MigrationMode, PolicyDecision, Reason, TrustDomain, VmSpec } from '@carnet/events';
import { POLICY_CODES, type PolicyCode } from './codes.ts';
import { matches } from './match.ts';
import type { Policy, PolicySet, Rule } from './policy-set.ts';
import type { Role } from './roles.ts';

export type SourceQuestion = {
  readonly request: IntentRequest;
  readonly principal: string;
  readonly spec: VmSpec;
  /** Migrations to this peer that are open, without this one. */
  readonly open: number;
};
export type TargetQuestion = { readonly intent: EventData<'MigrationIntended'>; readonly open: number };

type Move = {
  readonly peer: TrustDomain;
  readonly vm: string;
  readonly mode: MigrationMode;
  readonly spec: VmSpec;
  readonly open: number;
};

/** Roles that a set grants to a principal (a SPIFFE ID, or a token's principal). */
export const rolesOf = (set: PolicySet, principal: string): readonly Role[] => [
  ...new Set(set.grants.filter((grant) => matches(grant.principal, principal)).flatMap((grant) => grant.roles)),
];

const ASKING: readonly Role[] = ['operator', 'scheduler', 'administrator'];

/** May this principal send this VM there? */
export function decideAsSource(policy: Policy, { request, principal, spec, open }: SourceQuestion): PolicyDecision {
  if (!rolesOf(policy.set, principal).some((held) => ASKING.includes(held))) return verdict(policy, ['ROLE_NEEDED', principal]);
  return verdict(policy, judge(policy.set.asSource, { peer: request.target, vm: request.vm, mode: request.mode, spec, open }));
}

/** May this VM come from there? The peer's own policy has allowed it already; ours is asked anew, on the same intent. */
export const decideAsTarget = (policy: Policy, { intent, open }: TargetQuestion): PolicyDecision =>
  verdict(policy, judge(policy.set.asTarget, { peer: intent.source, vm: intent.vm, mode: intent.mode, spec: intent.spec, open }));

/** A code and what it is about. `ALLOWED` names the rule. */
type Judgement = readonly [PolicyCode, string];

/** The first rule that allows everything; else why the rule that came furthest did not. */
function judge(rules: readonly Rule[], move: Move): Judgement {
  let furthest: { readonly depth: number; readonly judgement: Judgement } = {
    depth: 0,
    judgement: ['PEER_NOT_ALLOWED', move.peer],
  };
  for (const rule of rules) {
    const found = judgeRule(rule, move);
    if (found.judgement[0] === 'ALLOWED') return found.judgement;
    if (found.depth > furthest.depth) furthest = found;
  }
  return furthest.judgement;
}

function judgeRule(rule: Rule, move: Move): { readonly depth: number; readonly judgement: Judgement } {
  const checks = checksOf(rule, move);
  const depth = checks.findIndex(([passes]) => !passes);
  const failed = checks[depth];
  return failed === undefined
    ? { depth: checks.length, judgement: ['ALLOWED', `rule ${rule.name}`] }
    : { depth, judgement: [failed[1], failed[2]] };
}

function checksOf(rule: Rule, { peer, vm, mode, spec, open }: Move): readonly (readonly [boolean, PolicyCode, string])[] {
  const { memoryMiB, diskBytes, vcpus, openPerPeer } = rule.limits;
  const disk = spec.disks.reduce((sum, { capacityBytes }) => sum + capacityBytes, 0);
  const within = (value: number, limit: number | undefined): boolean => limit === undefined || value <= limit;
  return [
    [rule.peers.some((one) => one === '*' || one === peer), 'PEER_NOT_ALLOWED', peer],
    [rule.vms.some((one) => matches(one, vm)), 'VM_NOT_ALLOWED', vm],
    [rule.modes.includes(mode), 'MODE_NOT_ALLOWED', mode],
    [within(spec.memoryMiB, memoryMiB), 'MEMORY_LIMIT', `${spec.memoryMiB} MiB, at most ${memoryMiB}`],
    [within(disk, diskBytes), 'DISK_LIMIT', `${disk} bytes, at most ${diskBytes}`],
    [within(spec.vcpus, vcpus), 'VCPU_LIMIT', `${spec.vcpus}, at most ${vcpus}`],
    [within(open + 1, openPerPeer), 'OPEN_LIMIT', `${open} open, at most ${openPerPeer}`],
  ];
}

function verdict({ digest }: Policy, [code, about]: Judgement): PolicyDecision {
  const reason: Reason = { code, text: `${POLICY_CODES[code].text} (${about})`.slice(0, 512) };
  return { allowed: code === 'ALLOWED', policySet: digest, reasons: [reason] };
}
