import type { PinnedAgent, Reason, Timestamp, TrustDomain } from '@carnet/events';
import { type TrustStore, validatePath } from '@carnet/pki';
import { agentSpiffeId } from '../hosts/wire.ts';
import { reasonOf } from '../reason.ts';

/**
 * Why this pinned chain is not the peer's agent of that host. Threat: a peer pins a third CSP's agent, or one of ours: then that
 * host would be served the image, or be believed as a witness.
 */
export function agentFault(
  trust: TrustStore,
  at: Timestamp,
  domain: TrustDomain,
  { host, chain }: PinnedAgent,
): Reason | undefined {
  const path = validatePath({ ...trust, chain, at, trustDomain: domain, spiffeId: agentSpiffeId(domain, host) });
  return path.ok ? undefined : reasonOf('AGENT_UNTRUSTED', `the agent pinned for ${host} is not one of ${domain} (${path.code})`);
}

/**
 * Why this chain was not that agent's at an earlier time. What was revoked or ended later was good then; revocation lists must be fresh now, and
 * while they are not nobody knows (`EVIDENCE_UNJUDGED`).
 */
export function witnessFault(
  trust: TrustStore,
  { at, now }: { readonly at: Timestamp; readonly now: Timestamp },
  domain: TrustDomain,
  { host, chain }: PinnedAgent,
): Reason | undefined {
  const spiffeId = agentSpiffeId(domain, host);
  const path = validatePath({ ...trust, chain, at, now, ignoreRevokedAfter: at, trustDomain: domain, spiffeId });
  if (path.ok) return undefined;
  return path.code.startsWith('CRL_')
    ? reasonOf('EVIDENCE_UNJUDGED', `whether the leaf under the evidence was good then is not known now (${path.code})`)
    : reasonOf('EVIDENCE_INVALID', `the leaf under the evidence was not the agent of ${host} at ${domain} then (${path.code})`);
}
