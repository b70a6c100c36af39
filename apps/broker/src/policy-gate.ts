import { readFileSync } from 'node:fs';
import type { EventData, IntentRequest, MigrationId, PolicyDecision, TrustDomain, VmSpec } from '@carnet/events';
import { canonicalText, decideAsSource, decideAsTarget, type Policy, policySet, type Role, rolesOf } from '@carnet/policy';
import { sha256Hex } from '@carnet/trust';
import { parse } from 'smol-toml';

export interface AsSource {
  readonly request: IntentRequest;
  readonly principal: string;
  readonly spec: VmSpec;
}

/** This CSP's policy set, applied with the counts that its limits are about. */
export interface PolicyGate {
  readonly asSource: (asked: AsSource) => Promise<PolicyDecision>;
  readonly asTarget: (intent: EventData<'MigrationIntended'>, migration: MigrationId) => Promise<PolicyDecision>;
  readonly roleOf: (principal: string) => readonly Role[];
}

/** Open migrations with a peer by direction, without the one that is being decided. */
export type OpenCounts = (
  peer: TrustDomain,
  except: MigrationId,
) => Promise<{ readonly outgoing: number; readonly incoming: number }>;

/** Reads the policy file once: a changed policy takes a restart, so that no decision falls between two sets. */
export function openPolicyGate(file: string, counts: OpenCounts): PolicyGate {
  const policy = readPolicy(file);
  return {
    asSource: async ({ request, principal, spec }) => {
      const { outgoing } = await counts(request.target, request.migration);
      return decideAsSource(policy, { request, principal, spec, open: outgoing });
    },
    asTarget: async (intent, migration) => {
      const { incoming } = await counts(intent.source, migration);
      return decideAsTarget(policy, { intent, open: incoming });
    },
    roleOf: (principal) => rolesOf(policy.set, principal),
  };
}

function readPolicy(file: string): Policy {
  const parsed = policySet.safeParse(parse(readFileSync(file, 'utf8')));
  if (!parsed.success)
    throw new Error(`${file}: ${parsed.error.issues.map((issue) => `${issue.path.join('.')}: ${issue.message}`).join('; ')}`);
  return { set: parsed.data, digest: sha256Hex(Buffer.from(canonicalText(parsed.data))) };
}
