import { X509Certificate } from 'node:crypto';
import { type PinnedAgent, spiffeId, type Timestamp, type TrustDomain } from '@carnet/events';
import { rsaPssVerifier, type TrustStore, validatePath } from '@carnet/pki';
import { type Checked, sha256Hex, type Verifier } from '@carnet/trust';
import { AGENTS_REMEMBERED_MAX } from '../limits.ts';

/** The federation's root, its revocation lists, and the clock that judges whether these are fresh. */
export type AuditTrust = { readonly store: TrustStore; readonly now: Timestamp };

/** Who holds a certificate of a CSP, as of `at`: what was revoked later was good then. */
export const identifyAt = (trust: AuditTrust, chain: readonly string[], domain: TrustDomain, at: Timestamp) =>
  validatePath({ ...trust.store, chain, at, now: trust.now, ignoreRevokedAfter: at, trustDomain: domain });

/** Exactly the agent of that host, when it was pinned: another host's agent must not speak for it. */
export function checkPinned(trust: AuditTrust, agent: PinnedAgent, domain: TrustDomain, at: Timestamp): Checked<null, string> {
  const id = spiffeId.parse(`spiffe://${domain}/agent/${agent.host}`);
  const path = validatePath({
    ...trust.store,
    chain: agent.chain,
    at,
    now: trust.now,
    ignoreRevokedAfter: at,
    trustDomain: domain,
    spiffeId: id,
  });
  return path.ok ? { ok: true, value: null } : path;
}

export type AgentKey = { readonly keyid: string; readonly verifier: Verifier };

// A cache of pure results, leaf certificate → its key: parsing costs ten times what verifying does.
const remembered = new Map<string, AgentKey>();

/** The pinned agent's key. The pin decides whose word evidence is; the path was judged when it was pinned. */
export function keyOfPinned({ chain }: PinnedAgent): AgentKey | undefined {
  const leaf = chain[0] ?? '';
  const known = remembered.get(leaf);
  if (known !== undefined) return known;
  const read = readLeaf(leaf);
  if (read === undefined) return undefined;
  if (remembered.size >= AGENTS_REMEMBERED_MAX) remembered.clear();
  remembered.set(leaf, read);
  return read;
}

function readLeaf(base64: string): AgentKey | undefined {
  const der = Buffer.from(base64, 'base64');
  try {
    return { keyid: sha256Hex(der), verifier: rsaPssVerifier(new X509Certificate(der).publicKey) };
  } catch {
    // Hostile bytes that are no certificate: they name no key.
    return undefined;
  }
}
