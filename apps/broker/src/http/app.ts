import type { Log, Metrics } from '@carnet/runtime';
import fastify, { type FastifyInstance, type FastifyReply, type FastifyRequest } from 'fastify';
import type { Role } from '@carnet/policy';
import { z } from 'zod';
import type { BrokerService, ServiceRefusal } from '../service/service.ts';
import { openapi } from './openapi.ts';
import type { Caller, Route } from './route.ts';
import { routes } from './routes.ts';
import { statusOf } from './status.ts';
import { exportLedgers, followEvents } from './streams.ts';

/** An intent with its envelope fits well; nobody posts more to a broker. */
export const BODY_BYTES_MAX = 262_144;
/** A client that trickles its request is let go. */
export const REQUEST_MS_MAX = 30_000;

export interface AppPorts {
  readonly service: BrokerService;
  /** Who calls, or why that cannot be said. Runs before anything of the body is used. */
  readonly authenticate: (request: FastifyRequest) => Promise<Caller | ServiceRefusal>;
  readonly roleOf: (principal: string) => readonly Role[];
  readonly log: Log;
  readonly metrics: Metrics;
}

const isRefusal = (value: Caller | ServiceRefusal): value is ServiceRefusal => 'ok' in value;
const ROLES_THAT_READ: readonly Role[] = ['viewer', 'operator', 'scheduler', 'auditor'];

/** Routes every door serves. TLS and authentication are the door's. */
export function addRoutes(app: FastifyInstance, ports: AppPorts): void {
  // CloudEvents clients say so in the content type; both are plain JSON.
  app.addContentTypeParser('application/cloudevents+json', { parseAs: 'string', bodyLimit: BODY_BYTES_MAX }, app.getDefaultJsonParser('error', 'error'));
  app.setErrorHandler((error, _request, reply) => {
    const status = typeof error === 'object' && error !== null && 'statusCode' in error && typeof error.statusCode === 'number' ? error.statusCode : 500;
    if (status >= 500) ports.log.error({ err: error }, 'request failed');
    return refuse(ports, reply, { ok: false, code: status >= 500 ? 'INTERNAL' : 'REQUEST_MALFORMED', text: status >= 500 ? 'the broker failed; its log says why' : 'the request is not well formed' }, status);
  });
  app.setNotFoundHandler((_request, reply) => refuse(ports, reply, { ok: false, code: 'ROUTE_UNKNOWN', text: 'no such path; GET /openapi.json lists them' }, 404));
  for (const route of routes) app.route({ method: route.method, url: route.path, handler: (request, reply) => serve(route, ports, request, reply) });
  app.get('/openapi.json', () => openapi());
  app.get('/v1/follow', (request, reply) => withReader(ports, request, reply, ROLES_THAT_READ, () => followEvents(ports, request, reply)));
  app.get('/v1/export', (request, reply) => withReader(ports, request, reply, ['auditor', 'operator'], () => exportLedgers(ports, request, reply)));
}

export const createApp = (https: object): FastifyInstance =>
  fastify({ https, bodyLimit: BODY_BYTES_MAX, requestTimeout: REQUEST_MS_MAX, forceCloseConnections: true, logger: false }) as unknown as FastifyInstance;

async function serve(route: Route, ports: AppPorts, request: FastifyRequest, reply: FastifyReply): Promise<unknown> {
  return withReader(ports, request, reply, route.roles, async (caller) => {
    for (const [schema, value] of [[route.query, request.query], [route.body, request.body ?? (route.body ? {} : undefined)]] as const) {
      const parsed = schema?.safeParse(value);
      if (parsed !== undefined && !parsed.success) return refuse(ports, reply, { ok: false, code: 'PARAMETER_INVALID', text: faults(parsed.error) });
    }
    const input = { params: request.params as Readonly<Record<string, string>>, query: request.query, body: request.body ?? {} };
    const result = await route.handle(ports.service, caller, input);
    if (!result.ok) return refuse(ports, reply, result);
    return reply.send(result.value);
  });
}

/** Authentication, then roles, then the work. A caller without the role learns nothing of what stands behind the path. */
async function withReader(ports: AppPorts, request: FastifyRequest, reply: FastifyReply, roles: readonly Role[], work: (caller: Caller) => Promise<unknown>): Promise<unknown> {
  const caller = await ports.authenticate(request);
  if (isRefusal(caller)) return refuse(ports, reply, caller);
  const held = ports.roleOf(caller.principal);
  if (!roles.some((role) => held.includes(role)))
    return refuse(ports, reply, { ok: false, code: 'ROLE_MISSING', text: `${caller.principal} has none of the roles ${roles.join(', ')}` });
  return work(caller);
}

function refuse(ports: AppPorts, reply: FastifyReply, refusal: ServiceRefusal, status = statusOf(refusal.code)): FastifyReply {
  ports.metrics.refusals.inc({ code: refusal.code });
  const { code, text, reasons } = refusal;
  return reply.code(status).send(reasons === undefined ? { code, text } : { code, text, reasons });
}

const faults = (error: z.ZodError): string =>
  error.issues.map((issue) => `${issue.path.join('.') || '(body)'}: ${issue.message}`).join('; ').slice(0, 500);
