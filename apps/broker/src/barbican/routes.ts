import type { Tenant } from '@carnet/keys';
import { z } from 'zod';
import { invalid } from '../http/route.ts';
import type { ServiceResult } from '../service/result.ts';
import * as s from './schemas.ts';
import type { SecretReader, Shown } from './secrets.ts';

/** A caller's request for keys of one project. */
export interface Asked {
  readonly project: Tenant;
  readonly shown: Shown;
  readonly params: unknown;
  readonly query: unknown;
}

/** One path of the façade; it drives the server and the OpenAPI document. All are read with GET. */
export interface SecretRoute {
  readonly path: string;
  readonly summary: string;
  readonly params: z.ZodType;
  readonly query: z.ZodType;
  readonly answer: z.ZodType;
  readonly call: (reader: SecretReader, asked: Asked) => Promise<ServiceResult<unknown>>;
}

interface Described<P extends z.ZodType, Q extends z.ZodType, A extends z.ZodType> extends Omit<SecretRoute, 'call'> {
  readonly params: P;
  readonly query: Q;
  readonly answer: A;
  readonly handle: (
    reader: SecretReader,
    given: Asked & { readonly params: z.output<P>; readonly query: z.output<Q> },
  ) => Promise<ServiceResult<z.output<A>>>;
}

function secretRoute<P extends z.ZodType, Q extends z.ZodType, A extends z.ZodType>({
  handle,
  ...described
}: Described<P, Q, A>): SecretRoute {
  return {
    ...described,
    call: async (reader, asked) => {
      const params = described.params.safeParse(asked.params);
      if (!params.success) return invalid('path', params.error);
      const query = described.query.safeParse(asked.query);
      if (!query.success) return invalid('query', query.error);
      return handle(reader, { ...asked, params: params.data, query: query.data });
    },
  };
}

const nothing = z.strictObject({});

export const secretRoutes: readonly SecretRoute[] = [
  secretRoute({
    path: '/v1/secrets',
    summary: 'Barbican: keys of the project as secrets, oldest first; destroyed ones are not there',
    params: nothing,
    query: s.secretsQuery,
    answer: s.secretPage,
    handle: async (reader, { project, query, shown }) => ({ ok: true, value: await reader.list(project, query, shown) }),
  }),
  secretRoute({
    path: '/v1/secrets/:secret',
    summary: 'Barbican: one key as a secret; never its payload',
    params: s.secretParams,
    query: nothing,
    answer: s.secret,
    handle: (reader, { project, params, shown }) => reader.show(project, params.secret, shown),
  }),
  secretRoute({
    path: '/v1/secrets/:secret/metadata',
    summary: 'Barbican: what Carnet says of a key: state, artifact, VM, and the events that brought it',
    params: s.secretParams,
    query: nothing,
    answer: s.metadata,
    handle: (reader, { project, params }) => reader.metadata(project, params.secret),
  }),
  secretRoute({
    path: '/v1/secrets/:secret/consumers',
    summary: 'Barbican: who needs a key',
    params: s.secretParams,
    query: s.pageQuery,
    answer: s.consumerPage,
    handle: (reader, { project, params, query, shown }) => reader.consumers(project, params.secret, query, shown),
  }),
  secretRoute({
    path: '/v1/secrets/:secret/payload',
    summary: 'Barbican: always refused; a key goes to a host that may run its VM, and nowhere else',
    params: s.secretParams,
    query: nothing,
    answer: z.never(),
    handle: async (reader, { project, params, shown }) => {
      const found = await reader.show(project, params.secret, shown);
      return found.ok ? { ok: false, code: 'PAYLOAD_WITHHELD', text: 'no key leaves the key manager at this door' } : found;
    },
  }),
];
