import type { Role } from '@carnet/policy';
import type { z } from 'zod';
import type { BrokerService, ServiceResult } from '../service/service.ts';

/** Who is at the door, as authentication established it. */
export interface Caller {
  readonly principal: string;
  readonly via: 'mtls' | 'token';
}

export interface RouteInput {
  readonly params: Readonly<Record<string, string>>;
  readonly query: unknown;
  readonly body: unknown;
}

/**
 * One line of the API: what drives the server, the OpenAPI document and the help. `roles` are those that may call it.
 */
export interface Route {
  readonly method: 'GET' | 'POST' | 'DELETE';
  readonly path: string;
  readonly summary: string;
  readonly roles: readonly Role[];
  readonly query?: z.ZodType;
  readonly body?: z.ZodType;
  readonly answer: z.ZodType;
  readonly handle: (service: BrokerService, caller: Caller, input: RouteInput) => Promise<ServiceResult<unknown>>;
}

export const done = <T>(value: T): ServiceResult<T> => ({ ok: true, value });
