import type { Role } from '@carnet/policy';
import { z } from 'zod';
import type { ServiceRefusal, ServiceResult } from '../service/result.ts';
import type { BrokerService } from '../service/service.ts';
import type { Caller } from '../users/caller.ts';
import type { AtOnce } from './admitted.ts';
import { FAULTS_CHARS_MAX, PLANS_MAX } from './limits.ts';

/** What came with a request, before any schema has seen it. */
export interface Came {
  readonly params: unknown;
  readonly query: unknown;
  readonly body: unknown;
}

/** One line of the API, which drives the server, the OpenAPI document and the tests. */
export interface Route {
  readonly method: 'GET' | 'POST' | 'DELETE';
  readonly path: string;
  readonly summary: string;
  /** Who may call it. `administrator` is not listed: it may call everything. */
  readonly roles: readonly Role[];
  readonly params: z.ZodType;
  readonly query: z.ZodType;
  readonly body: z.ZodType;
  readonly answer: z.ZodType;
  /** Content types of the body beside `application/json`. */
  readonly contentTypes?: readonly string[];
  /** Where one caller's many would be at the cost of others. */
  readonly atOnce?: AtOnce;
  /** Refuses what does not match the schemas, else does the work. */
  readonly call: (service: BrokerService, caller: Caller, came: Came) => Promise<ServiceResult<unknown>>;
}

interface Described<P extends z.ZodType, Q extends z.ZodType, B extends z.ZodType, A extends z.ZodType>
  extends Omit<Route, 'call'> {
  readonly params: P;
  readonly query: Q;
  readonly body: B;
  readonly answer: A;
  readonly handle: (service: BrokerService, given: Given<P, Q, B>) => Promise<ServiceResult<z.output<A>>>;
}
interface Given<P extends z.ZodType, Q extends z.ZodType, B extends z.ZodType> {
  readonly caller: Caller;
  readonly params: z.output<P>;
  readonly query: z.output<Q>;
  readonly body: z.output<B>;
}

/** Who may look, and who may act. */
export const readers: readonly Role[] = ['viewer', 'operator', 'scheduler', 'custodian', 'auditor'];
export const operators: readonly Role[] = ['operator'];
/** Threat: a viewer's plans keep a host from its work. */
export const PLANS: AtOnce = { max: PLANS_MAX, code: 'PLANS_EXCEEDED', what: 'plans under way' };

const nothing = z.strictObject({});
/** A route that takes nothing refuses what comes nevertheless: a misspelt parameter must not be taken for its absence. */
export const takesNothing = { params: nothing, query: nothing, body: nothing } as const;

/** The handler sees only what its schemas let through, and what it answers is held to its answer's schema by the compiler. */
export function route<P extends z.ZodType, Q extends z.ZodType, B extends z.ZodType, A extends z.ZodType>({
  handle,
  ...described
}: Described<P, Q, B, A>): Route {
  return {
    ...described,
    call: async (service, caller, came) => {
      const params = described.params.safeParse(came.params);
      if (!params.success) return invalid('path', params.error);
      const query = described.query.safeParse(came.query);
      if (!query.success) return invalid('query', query.error);
      const body = described.body.safeParse(came.body);
      if (!body.success) return invalid('body', body.error);
      return handle(service, { caller, params: params.data, query: query.data, body: body.data });
    },
  };
}

/** What is wrong, by name and place; never the value, which may be a secret in the wrong field. */
export const invalid = (place: 'path' | 'query' | 'body', error: z.ZodError): ServiceRefusal => ({
  ok: false,
  code: 'PARAMETER_INVALID',
  text: error.issues
    .map((issue) => `${[place, ...issue.path].join('.')}: ${issue.message}`)
    .join('; ')
    .slice(0, FAULTS_CHARS_MAX),
});

export const done = <T>(value: T): ServiceResult<T> => ({ ok: true, value });
