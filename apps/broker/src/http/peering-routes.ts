import { trustDomain } from '@carnet/events';
import { z } from 'zod';
import { invitationId } from '../peering/invitation.ts';
import { confirmRequest, inviteRequest, joinRequest } from '../peering/service.ts';
import { done, type Route, readers, route, takesNothing } from './route.ts';
import { flag } from './schemas.ts';

const peerParams = z.strictObject({ peer: trustDomain });
const invitationRow = z.strictObject({
  id: z.string(),
  domain: z.string(),
  state: z.enum(['open', 'used', 'spent', 'revoked', 'expired']),
  createdBy: z.string(),
  createdAt: z.string(),
  expiresAt: z.string(),
  dataPaths: z.array(z.string()).readonly(),
});
const peeringRow = z.strictObject({
  domain: z.string(),
  state: z.enum(['unconfirmed', 'confirmed-here', 'confirmed-there', 'trusted', 'expired']),
  code: z.string(),
  issuer: z.string(),
  ownIssuer: z.string(),
  eventKey: z.string(),
  side: z.enum(['invited', 'joined']),
  dataPaths: z.array(z.string()).readonly(),
  startedBy: z.string(),
  startedAt: z.string(),
  confirmedBy: z.string().optional(),
  confirmedAt: z.string().optional(),
  confirmedThereAt: z.string().optional(),
});

/** Peers by invitation. Who a peer is, is an administrator's decision. */
export const peeringRoutes: readonly Route[] = [
  route({
    ...takesNothing,
    method: 'POST',
    path: '/v1/invitations',
    summary: 'Invite a CSP to be a peer: a text with a secret for one use, said once',
    roles: [],
    body: inviteRequest,
    answer: z.strictObject({ ...invitationRow.shape, invitation: z.string() }),
    handle: (service, { body, caller }) => service.peering.invite(body, caller.principal),
  }),
  route({
    ...takesNothing,
    method: 'GET',
    path: '/v1/invitations',
    summary: 'Invitations that were made here, ended ones included; never their secrets',
    roles: readers,
    answer: z.strictObject({ items: z.array(invitationRow).readonly() }),
    handle: async (service) => done({ items: await service.peering.invitations() }),
  }),
  route({
    ...takesNothing,
    method: 'DELETE',
    path: '/v1/invitations/:id',
    summary: 'Withdraw an invitation that was not used',
    roles: [],
    params: z.strictObject({ id: invitationId }),
    answer: invitationRow,
    handle: (service, { params }) => service.peering.revoke(params.id),
  }),
  route({
    ...takesNothing,
    method: 'POST',
    path: '/v1/peerings',
    summary:
      'Take an invitation up: the CSP that invites is met and proves itself; nothing is trusted before both sides confirmed',
    roles: [],
    body: joinRequest,
    answer: peeringRow,
    handle: (service, { body, caller }) => service.peering.join(body, caller.principal),
  }),
  route({
    ...takesNothing,
    method: 'GET',
    path: '/v1/peerings',
    summary: 'Peers by invitation: what was confirmed by whom, and the code that people at both sides compare',
    roles: readers,
    answer: z.strictObject({ items: z.array(peeringRow).readonly() }),
    handle: async (service) => done({ items: await service.peering.peerings() }),
  }),
  route({
    ...takesNothing,
    method: 'POST',
    path: '/v1/peerings/:peer/confirm',
    summary: 'Confirm a peer by the code that the other side reads aloud; it is trusted once both sides did',
    roles: [],
    params: peerParams,
    body: confirmRequest,
    answer: peeringRow,
    handle: (service, { params, body, caller }) => service.peering.confirm(params.peer, body.code, caller.principal),
  }),
  route({
    ...takesNothing,
    method: 'DELETE',
    path: '/v1/peerings/:peer',
    summary: 'Remove a peer that came by invitation; its ledgers stay',
    roles: [],
    params: peerParams,
    query: z.strictObject({ unheard: flag.optional() }),
    answer: z.strictObject({ domain: trustDomain }),
    handle: (service, { params, query }) => service.peering.remove(params.peer, query.unheard),
  }),
];
