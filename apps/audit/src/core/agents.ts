import { X509Certificate } from 'node:crypto';
import { type PinnedAgent, type SpiffeId, spiffeId, type Timestamp, type TrustDomain } from '@carnet/events';
import { type PeerIdentity, rsaPssVerifier, type TrustStore, validatePath } from '@carnet/pki';
import { type Checked, sha256Hex, type Verifier } from '@carnet/trust';
import { AGENTS_REMEMBERED_MAX } from '../limits.ts';

/** Who somebody was, by a chain, at a time; `id` asks for exactly that identity. */
export type Identify = (
  chain: readonly string[],
  domain: TrustDomain,
  at: Timestamp,
  id?: SpiffeId,
) => Checked<PeerIdentity, string>;

type Known = { readonly identity: PeerIdentity; readonly from: Timestamp; readonly to: Timestamp };

/**
 * Path validation as of then: what was revoked later was good then. Validity and revocation only cut off beginnings and ends of
 * time, so a chain that is good at two instants is good between them, and need not be judged there again.
 *
 * @param now judges whether revocation lists are fresh
 */
export function identifyAsOf(store: TrustStore, now: Timestamp): Identify {
  const known = new Map<string, Known>();
  return (chain, domain, at, id) => {
    const name = [domain, id ?? '', ...chain].join(' ');
    const earlier = known.get(name);
    if (earlier !== undefined && earlier.from <= at && at <= earlier.to) return { ok: true, value: earlier.identity };
    const asked = { chain, now, trustDomain: domain, ...(id === undefined ? {} : { spiffeId: id }) };
    const path = validatePath({ ...store, ...asked, at, ignoreRevokedAfter: at });
    if (!path.ok) return path;
    // Good to this day, mostly: then one more look spares all that follow.
    const isGoodNow = at < now && validatePath({ ...store, ...asked, at: now, ignoreRevokedAfter: now }).ok;
    if (known.size >= AGENTS_REMEMBERED_MAX) known.clear();
    known.set(name, { identity: path.value, from: at, to: isGoodNow ? now : at });
    return path;
  };
}

/** Exactly the agent of that host, when it was pinned: another host's agent must not speak for it. */
export function checkPinned(identify: Identify, agent: PinnedAgent, domain: TrustDomain, at: Timestamp): Checked<null, string> {
  const path = identify(agent.chain, domain, at, spiffeId.parse(`spiffe://${domain}/agent/${agent.host}`));
  return path.ok ? { ok: true, value: null } : path;
}

export type AgentKey = { readonly keyid: string; readonly verifier: Verifier };

// A cache of pure results, leaf certificate → its key: parsing costs ten times what verifying does.
const remembered = new Map<string, AgentKey>();

/** The key of an agent's leaf, whose path was judged before. */
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
