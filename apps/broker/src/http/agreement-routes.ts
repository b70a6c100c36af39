import { agreementTerms, digest } from '@carnet/events';
import { z } from 'zod';
import { type Route, readers, route, takesNothing } from './route.ts';
import { peerParams } from './schemas.ts';

const proposal = z.strictObject({ terms: agreementTerms, proposer: z.string(), proposal: z.string() });
const agreed = z.strictObject({
  inForce: z.strictObject({ ...proposal.shape, acceptance: z.string() }).optional(),
  open: z.array(proposal).readonly(),
});
/** The version is the broker's to choose: the next one. */
const { version: _version, ...wanted } = agreementTerms.unwrap().shape;

/** Terms between two CSPs; whoever may say what is agreed is an administrator. */
export const agreementRoutes: readonly Route[] = [
  route({
    ...takesNothing,
    method: 'GET',
    path: '/v1/peers/:peer/agreement',
    summary: 'The terms that both CSPs signed, and what is proposed',
    roles: readers,
    params: peerParams,
    answer: agreed,
    handle: (service, { params }) => service.agreements.with(params.peer),
  }),
  route({
    ...takesNothing,
    method: 'POST',
    path: '/v1/peers/:peer/agreement/proposals',
    summary: 'Propose terms to a peer, in the ledger that it reads',
    roles: [],
    params: peerParams,
    body: z.strictObject(wanted),
    answer: proposal,
    handle: (service, { params, body }) => service.agreements.propose(params.peer, body),
  }),
  route({
    ...takesNothing,
    method: 'POST',
    path: '/v1/peers/:peer/agreement/accept',
    summary: 'Accept a peer’s proposal, by the digest of its event: from then on both are bound',
    roles: [],
    params: peerParams,
    body: z.strictObject({ proposal: digest }),
    answer: agreed,
    handle: (service, { params, body }) => service.agreements.accept(params.peer, body.proposal),
  }),
];
