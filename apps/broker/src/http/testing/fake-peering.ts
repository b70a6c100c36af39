import { proofFile, type TrustDomain, trustDomain } from '@carnet/events';
import type { InvitationRow, PeeringRow, PeeringService } from '../../peering/service.ts';
import type { PeerRow } from '../../service/service.ts';

const AT = '2026-11-23T12:00:00.000Z';
const FINGERPRINT = 'ab'.repeat(32);
const DOMAIN: TrustDomain = trustDomain.parse('csp-c.example');
const invitation: InvitationRow = {
  id: '0123456789abcdef',
  domain: DOMAIN,
  state: 'open',
  createdBy: 'spiffe://csp-a.example/administrator',
  createdAt: AT,
  expiresAt: AT,
  dataPaths: [],
};
const peering: PeeringRow = {
  domain: DOMAIN,
  state: 'unconfirmed',
  code: '00000 11111 22222 33333 44444 55555',
  issuer: FINGERPRINT,
  ownIssuer: FINGERPRINT,
  eventKey: FINGERPRINT,
  side: 'invited',
  dataPaths: [],
  startedBy: 'spiffe://csp-a.example/administrator',
  startedAt: AT,
};

/** A peer of the configuration. */
export const configuredPeer: PeerRow = {
  domain: 'csp-b.example',
  state: 'ready',
  origin: 'configuration',
  ownSeq: 2,
  acknowledgedSeq: 1,
  receivedSeq: 3,
  lastHeardAt: AT,
};

/** Notes the call's name and arguments. */
type Noted = <A extends readonly unknown[], R>(name: string, answer: (...args: A) => R) => (...args: A) => R;

export const fakePeering = (noted: Noted): PeeringService => ({
  invite: noted('peering.invite', async () => ({
    ok: true as const,
    value: { ...invitation, invitation: 'carnet-invite-1.a.b' },
  })),
  invitations: noted('peering.invitations', async () => [invitation]),
  revoke: noted('peering.revoke', async () => ({ ok: true as const, value: invitation })),
  join: noted('peering.join', async () => ({ ok: true as const, value: peering })),
  peerings: noted('peering.peerings', async () => [peering]),
  confirm: noted('peering.confirm', async () => ({ ok: true as const, value: peering })),
  remove: noted('peering.remove', async () => ({ ok: true as const, value: { domain: DOMAIN } })),
});

export const fakeProof = proofFile.parse({
  carnet: 'proof',
  v: 1,
  accused: 'csp-b.example',
  audience: 'csp-a.example',
  code: 'LEDGER_FORK',
  statement: 'AAAA',
  accusedEvents: ['AAAA'],
  audienceEvents: [],
});
