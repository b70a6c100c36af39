import { randomBytes } from 'node:crypto';
import type { Digest, TrustDomain } from '@carnet/events';
import { readCertificate } from '@carnet/pki';
import type { Ground } from '../ground.ts';
import { ownList } from './card.ts';
import type { PeeringPorts } from './ports.ts';
import { openPeeringStore } from './table.ts';

/** What peering needs, of what the broker stands on. */
export function openPeering({ config, store, trust, tls, identity, nowMs, now }: Ground): PeeringPorts {
  const configured: readonly TrustDomain[] = config.peers.map(({ domain }) => domain);
  const ownIssuer = (): string => identity.leaf.chain[1] ?? '';
  const rootsRead = () =>
    trust().roots.flatMap((der) => {
      const read = readCertificate(der);
      return read.ok ? [read.value] : [];
    });
  return {
    self: config.domain,
    rows: openPeeringStore(store),
    trust,
    tls,
    configured,
    root: (): Digest => {
      const issuer = readCertificate(Uint8Array.from(Buffer.from(ownIssuer(), 'base64')));
      const root = rootsRead().find(({ subject }) => issuer.ok && subject === issuer.value.issuer);
      if (root === undefined) throw new Error('none of the roots in trust.rootFile is above our own authority');
      return root.digest;
    },
    roots: () => rootsRead().map(({ digest }) => digest),
    ownCard: () => ({
      issuer: ownIssuer(),
      crls: ownList(ownIssuer(), { trust }),
      eventKey: identity.signing().signer.keyid,
      bus: config.bus.domain,
    }),
    random: (n) => randomBytes(n),
    nowMs,
    now,
  };
}
