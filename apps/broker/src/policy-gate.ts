import { readFileSync } from 'node:fs';
import type { EventData, IntentRequest, MigrationId, PolicyDecision } from '@carnet/events';
import { type Counts, decideAsSource, decideAsTarget, type Policy, policySet, policySetBytes, type Role, rolesOf } from '@carnet/policy';
import { sha256Hex } from '@carnet/trust';
import { parse } from 'smol-toml';

/** This CSP's policy set, applied with the counts that its limits are about. */
export interface PolicyGate {
  readonly asSource: (asked: { readonly request: IntentRequest; readonly principal: string }) => Promise<PolicyDecision>;
  readonly asTarget: (intent: EventData<'MigrationIntended'>, migration: MigrationId) => Promise<PolicyDecision>;
  readonly roleOf: (principal: string) => readonly Role[];
}

/** Open migrations, without the one that is being decided. */
export type OpenCounts = (peer: string, except: MigrationId) => Promise<Counts>;

/** Reads the policy file once: a changed policy takes a restart, so that no decision falls between two sets. */
export function openPolicyGate(file: string, counts: OpenCounts): PolicyGate {
  const policy = readPolicy(file);
  return {
    asSource: async ({ request, principal }) => decideAsSource(policy, { request, principal, counts: await counts(request.target, request.migration) }),
    asTarget: async (intent, migration) => decideAsTarget(policy, { intent, counts: await counts(intent.source, migration) }),
    roleOf: (principal) => rolesOf(policy.set, principal),
  };
}

function readPolicy(file: string): Policy {
  const parsed = policySet.safeParse(parse(readFileSync(file, 'utf8')));
  if (!parsed.success) throw new Error(`${file}: ${parsed.error.issues.map((issue) => `${issue.path.join('.')}: ${issue.message}`).join('; ')}`);
  return { set: parsed.data, digest: sha256Hex(policySetBytes(parsed.data)) };
}
