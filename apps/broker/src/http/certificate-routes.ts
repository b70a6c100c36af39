import { z } from 'zod';
import { done, type Route, readers, route, takesNothing } from './route.ts';

const certificateRow = z.strictObject({
  kind: z.enum(['root', 'issuer', 'broker', 'agent', 'peer-issuer', 'crl']),
  name: z.string(),
  serial: z.string(),
  notBefore: z.string(),
  notAfter: z.string(),
  daysLeft: z.int(),
  standing: z.string(),
});

export const certificateRoutes: readonly Route[] = [
  route({
    ...takesNothing,
    method: 'GET',
    path: '/v1/certificates',
    summary: 'Certificates and revocation lists that this broker relies on, and when each ends',
    roles: readers,
    answer: z.strictObject({ items: z.array(certificateRow).readonly() }),
    handle: async (service) => done({ items: await service.certificates() }),
  }),
];
