import type { Digest, TrustDomain } from '@carnet/events';

/** What holds of peers that came by invitation and are trusted now; it changes while the process runs. */
export interface Invited {
  /** The authority that was confirmed for each, by SHA-256. */
  readonly issuers: ReadonlyMap<TrustDomain, Digest>;
  /** Networks in which their agents may serve images; none: any public address. */
  readonly dataPaths: (domain: TrustDomain) => readonly string[];
  readonly set: (peers: readonly TrustedPeer[]) => void;
}
export interface TrustedPeer {
  readonly domain: TrustDomain;
  readonly issuer: Digest;
  readonly dataPaths: readonly string[];
}

export function openInvited(): Invited {
  const issuers = new Map<TrustDomain, Digest>();
  const dataPaths = new Map<TrustDomain, readonly string[]>();
  return {
    issuers,
    dataPaths: (domain) => dataPaths.get(domain) ?? [],
    set: (peers) => {
      const kept = new Set(peers.map(({ domain }) => domain));
      for (const domain of [...issuers.keys()].filter((one) => !kept.has(one))) issuers.delete(domain);
      dataPaths.clear();
      for (const peer of peers) {
        issuers.set(peer.domain, peer.issuer);
        dataPaths.set(peer.domain, peer.dataPaths);
      }
    },
  };
}
