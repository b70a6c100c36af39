import type { DataPath, EventData, MigrationId, PinnedAgent, Reason, Timestamp, TrustDomain } from '@carnet/events';
import type { Journal } from '@carnet/journal';
import { type PeerIdentity, validatePath } from '@carnet/pki';
import type { Fact, MigrationState } from '@carnet/saga';
import type { Ground } from '../ground.ts';
import { agentSpiffeId } from '../hosts/wire.ts';
import { reasonOf } from '../reason.ts';
import { agentFault, witnessFault } from './agents.ts';
import type { Agreements } from './agreements.ts';
import { breakGlassCase, breakGlassReason } from './break-glass.ts';
import { dataPathFault } from './data-paths.ts';
import { requestFault } from './requests.ts';

/** What a schema-valid event of a peer may still lie about, each judged before anything is done because of it. */
export interface PeerTrust {
  readonly agentFault: (domain: TrustDomain, agent: PinnedAgent) => Reason | undefined;
  /** Whether this leaf, under the pinned intermediate, was the agent of that host at that time. */
  readonly witnessFault: (domain: TrustDomain, agent: PinnedAgent, at: Timestamp) => Reason | undefined;
  readonly dataPathFault: (domain: TrustDomain, dataPath: DataPath) => Reason | undefined;
  /** Why nothing may be released to this agent of the peer now. `REVOKED` is for ever; all others may pass. */
  readonly releaseFault: (domain: TrustDomain, agent: PinnedAgent) => Promise<Reason | undefined>;
  readonly agreementFault: Agreements['fault'];
  /** Why the source may not have broken the glass of this migration: judged by what is known now, before anything is stopped. */
  readonly breakGlassFault: (m: MigrationState, broke: Fact<'BreakGlassResumed'>) => Promise<Reason | undefined>;
  readonly requestFault: (migration: MigrationId, intent: EventData<'MigrationIntended'>) => Promise<Reason | undefined>;
}

export function openPeerTrust(
  { config, invited, journal, trust, now }: Pick<Ground, 'config' | 'invited' | 'journal' | 'trust' | 'now'>,
  agreements: Pick<Agreements, 'fault'>,
): PeerTrust {
  // Whoever signed may have its leaf from the authority of now, or still from the one before it.
  const identify = async (domain: TrustDomain, leaf: string): Promise<PeerIdentity | undefined> => {
    // Keys change more often than authorities do.
    const authorities = new Map((await journal.introductions(domain)).map(([, ...above]) => [above.join(), above]));
    for (const above of authorities.values()) {
      const path = validatePath({ ...trust(), chain: [leaf, ...above], at: now(), trustDomain: domain });
      if (path.ok) return path.value;
    }
    return undefined;
  };
  return {
    agentFault: (domain, agent) => agentFault(trust(), now(), domain, agent),
    witnessFault: (domain, agent, at) => witnessFault(trust(), { at, now: now() }, domain, agent),
    dataPathFault: (domain, dataPath) =>
      dataPathFault(dataPath, config.peers.find((peer) => peer.domain === domain)?.dataPaths ?? invited.dataPaths(domain)),
    releaseFault: (domain, agent) => releaseFault({ journal, trust, now }, domain, agent),
    agreementFault: agreements.fault,
    breakGlassFault: async (m, { data, time }) => {
      const of = breakGlassCase(m, time);
      return of === undefined
        ? reasonOf('BREAK_GLASS_NOT_RELEASED', 'nothing was released')
        : breakGlassReason(identify, data, of);
    },
    requestFault: (migration, intent) => requestFault(identify, migration, intent),
  };
}

/** Fails closed: without fresh revocation lists nobody knows whether the peer is still one. */
async function releaseFault(
  { journal, trust, now }: Pick<Ground, 'trust' | 'now'> & { readonly journal: Pick<Journal, 'standing'> },
  domain: TrustDomain,
  { host, chain }: PinnedAgent,
): Promise<Reason | undefined> {
  const standing = await journal.standing(domain);
  if (standing === undefined) return reasonOf('PEER_UNANNOUNCED', `${domain} has not introduced itself`);
  if (!standing.ok) return reasonOf(standing.code, `the certificate of ${domain}: ${standing.text}`);
  const path = validatePath({ ...trust(), chain, at: now(), trustDomain: domain, spiffeId: agentSpiffeId(domain, host) });
  return path.ok ? undefined : reasonOf(path.code, `the agent pinned for ${host} of ${domain}: ${path.text}`);
}
