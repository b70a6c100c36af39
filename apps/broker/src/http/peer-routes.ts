import { proofFile } from '@carnet/events';
import { done, type Route, readers, route, takesNothing } from './route.ts';
import * as s from './schemas.ts';

/** How far the ledgers with each peer have come, and what both signed of them. */
export const peerRoutes: readonly Route[] = [
  route({
    ...takesNothing,
    method: 'GET',
    path: '/v1/peers',
    summary: 'Peers and how far both ledgers with each have come',
    roles: readers,
    answer: s.peerRows,
    handle: async (service) => done({ items: await service.peers() }),
  }),
  route({
    ...takesNothing,
    method: 'GET',
    path: '/v1/peers/:peer/proof',
    summary: 'What convicts a peer, in one file for a third party who has nothing but the federation root (`carnet-audit proof`)',
    roles: readers,
    params: s.peerParams,
    answer: proofFile,
    handle: (service, { params }) => service.proofAgainst(params.peer),
  }),
  route({
    ...takesNothing,
    method: 'GET',
    path: '/v1/checkpoints',
    summary: 'The newest checkpoint of each ledger: a C2SP note, signed by its publisher and cosigned by its audience',
    roles: readers,
    answer: s.checkpointRows,
    handle: async (service) => done({ items: await service.checkpoints() }),
  }),
  route({
    ...takesNothing,
    method: 'POST',
    path: '/v1/peers/:peer/event-keys/:key/end',
    summary: 'End an event key of ours that others may hold, as of an earlier position; what it signed since stays, and is named',
    roles: [],
    params: s.ownKeyParams,
    body: s.keyEnding,
    answer: s.keyEnded,
    handle: (service, { params, body }) => service.endEventKey(params.peer, { keyid: params.key, ...body }),
  }),
];
