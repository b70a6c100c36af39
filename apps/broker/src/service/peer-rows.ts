import type { TrustDomain } from '@carnet/events';
import type { PeeringRow } from '../peering/service.ts';
import type { PeerRow } from './service.ts';

/** Where each peer comes from; and those by invitation that have no ledgers yet, since nothing is trusted of them. */
export function withOrigins(
  held: readonly Omit<PeerRow, 'origin'>[],
  configured: readonly TrustDomain[],
  invited: readonly PeeringRow[],
): readonly PeerRow[] {
  const rows = held.map((row): PeerRow => {
    if (configured.some((domain) => domain === row.domain)) return { ...row, origin: 'configuration' };
    const invitation = invited.find(({ domain }) => domain === row.domain);
    if (invitation === undefined) return { ...row, origin: 'former' };
    const { state, issuer } = invitation;
    return { ...row, origin: 'invitation', issuer, ...(state === 'trusted' ? {} : { state: 'unconfirmed' }) };
  });
  const waiting = invited.filter(({ domain }) => !held.some((row) => row.domain === domain));
  return [
    ...rows,
    ...waiting.map(
      ({ domain, issuer }): PeerRow => ({
        domain,
        state: 'unconfirmed',
        origin: 'invitation',
        issuer,
        ownSeq: 0,
        acknowledgedSeq: 0,
        receivedSeq: 0,
      }),
    ),
  ];
}
