import type { Server } from 'node:https';
import type { Duplex } from 'node:stream';
import type { TlsOptions } from 'node:tls';
import type { Role } from '@carnet/policy';
import type { Log, Metrics } from '@carnet/runtime';
import { isRetryable } from '@carnet/store';
import { parseStrictJson } from '@carnet/trust';
import fastify, { type FastifyInstance, type FastifyReply, type FastifyRequest, type RouteGenericInterface } from 'fastify';
import type { ServiceRefusal } from '../service/result.ts';
import type { BrokerService } from '../service/service.ts';
import type { Caller } from '../users/caller.ts';
import { STREAMS, stillAdmitted, underWay } from './admitted.ts';
import { BODY_BYTES_MAX, PARAMETER_CHARS_MAX, REQUEST_MS_MAX } from './limits.ts';
import { openapi } from './openapi.ts';
import type { Route } from './route.ts';
import { routes } from './routes.ts';
import { retryAfterOf, statusOf } from './status.ts';
import { exportLedgers, followEvents, streamRoles } from './streams.ts';

export type App = FastifyInstance<Server>;
export type Request = FastifyRequest<RouteGenericInterface, Server>;
export type Reply = FastifyReply<RouteGenericInterface, Server>;

export interface AppPorts {
  readonly service: BrokerService;
  /** Who calls, or why that cannot be said. */
  readonly authenticate: (request: Request) => Promise<Caller | ServiceRefusal>;
  readonly roleOf: (principal: string) => readonly Role[];
  readonly log: Log;
  readonly metrics: Metrics;
}

export const createApp = (https: TlsOptions): App => {
  const app = fastify({
    https,
    bodyLimit: BODY_BYTES_MAX,
    requestTimeout: REQUEST_MS_MAX,
    forceCloseConnections: true,
    // HEAD on a stream would open the stream.
    exposeHeadRoutes: false,
    routerOptions: { maxParamLength: PARAMETER_CHARS_MAX },
    // What Fastify refuses before any route is found.
    frameworkErrors: (_error, _request, reply) => {
      reply.hijack();
      reply.raw.writeHead(400, { 'content-type': 'application/json' }).end(JSON.stringify(MALFORMED));
    },
    logger: false,
  });
  endsWithItsConnections(app);
  return app;
};

/** Threat: a stranger who connects and says nothing. Node closes the connections of those only that have shaken hands, and waits for the others. */
function endsWithItsConnections(app: App): void {
  const open = new Set<Duplex>();
  app.server.on('connection', (socket) => {
    open.add(socket);
    socket.once('close', () => open.delete(socket));
  });
  app.addHook('preClose', async () => {
    for (const socket of open) socket.destroy();
  });
}

const MALFORMED = { code: 'REQUEST_MALFORMED', text: 'the request is not well formed' };

/** Carries a refusal through Fastify's error path. */
class RequestRefused extends Error {
  override readonly name = 'RequestRefused';
  readonly refusal: ServiceRefusal;
  constructor(refusal: ServiceRefusal) {
    super(refusal.text);
    this.refusal = refusal;
  }
}

/** Routes that every door serves. TLS and authentication are the door's. */
export function addRoutes(app: App, ports: AppPorts): void {
  const callers = new WeakMap<object, Caller>();
  takeStrictJson(app);
  app.setErrorHandler((error, _request, reply) => refuse(ports, reply, refusalOf(ports, error)));
  app.setNotFoundHandler((_request, reply) =>
    refuse(ports, reply, { ok: false, code: 'ROUTE_UNKNOWN', text: 'no such path; GET /openapi.json lists them' }),
  );
  // Before the body is read: whoever may not call makes the broker parse nothing.
  const admit = (roles: readonly Role[]) => async (request: Request, reply: Reply) => {
    const caller = ofWholeCsp(await callerWith(roles, ports, request));
    if ('ok' in caller) return refuse(ports, reply, caller);
    callers.set(request, caller);
    return undefined;
  };
  for (const route of routes) {
    const open = route.atOnce === undefined ? undefined : underWay(route.atOnce);
    app.route({
      method: route.method,
      url: route.path,
      onRequest: admit(route.roles),
      handler: async (request, reply) => {
        const caller = callers.get(request);
        if (caller === undefined) return reply.code(500).send();
        const left = open?.enter(caller.principal) ?? (() => undefined);
        if (typeof left !== 'function') return refuse(ports, reply, left);
        try {
          return await serve(route, ports, caller, request, reply);
        } finally {
          // Not when its asker hangs up: the work goes on without him.
          left();
        }
      },
    });
  }
  // The document is public: it says what this program is, not what this CSP has.
  // Made once: anyone may ask for it.
  const document = openapi();
  app.get('/openapi.json', () => document);
  const streams = underWay(STREAMS);
  const stream = (path: string, roles: readonly Role[], send: typeof followEvents): void => {
    app.get(path, { onRequest: admit(roles) }, async (request, reply) => {
      const left = streams.enter(callers.get(request)?.principal ?? '');
      if (typeof left !== 'function') return refuse(ports, reply, left);
      reply.raw.once('close', left);
      // It may have gone while it was judged: then no close comes any more.
      if (reply.raw.destroyed || reply.raw.closed) left();
      const judge = async () => ofWholeCsp(await callerWith(roles, ports, request));
      return send(ports, request, reply, {
        refuse: (refusal) => refuse(ports, reply, refusal),
        still: stillAdmitted(judge, () => performance.now()),
      });
    });
  };
  stream('/v1/follow', streamRoles.follow, followEvents);
  stream('/v1/export', streamRoles.export, exportLedgers);
}

/** CloudEvents clients say so in the content type; both are plain JSON, of which every parser reads the same. */
export function takeStrictJson(app: App): void {
  app.removeAllContentTypeParsers();
  app.addContentTypeParser<Buffer>(
    ['application/json', 'application/cloudevents+json'],
    { parseAs: 'buffer', bodyLimit: BODY_BYTES_MAX },
    async (_request: Request, body: Buffer) => {
      const json = parseStrictJson(body);
      if (!json.ok) throw new RequestRefused({ ok: false, code: json.code, text: `the body: ${json.text}` });
      return json.value;
    },
  );
}

async function serve(route: Route, ports: AppPorts, caller: Caller, request: Request, reply: Reply): Promise<Reply> {
  const result = await route.call(ports.service, caller, {
    params: request.params,
    query: request.query,
    body: request.body ?? {},
  });
  return result.ok ? reply.send(result.value) : refuse(ports, reply, result);
}

/** Authentication, then roles. A caller without the role learns nothing of what stands behind the path. */
export async function callerWith(roles: readonly Role[], ports: AppPorts, request: Request): Promise<Caller | ServiceRefusal> {
  const caller = await ports.authenticate(request);
  if ('ok' in caller) return caller;
  const granted = ports.roleOf(caller.principal);
  const held = caller.onlyRoles === undefined ? granted : granted.filter((one) => caller.onlyRoles?.includes(one));
  if (held.includes('administrator') || roles.some((role) => held.includes(role))) return caller;
  return { ok: false, code: 'ROLE_MISSING', text: `${caller.principal} has no role that this takes: ${roles.join(' or ')}` };
}

function refuse(ports: AppPorts, reply: Reply, { code, text, reasons }: ServiceRefusal): Reply {
  ports.metrics.refusals.inc({ code });
  const retryAfter = retryAfterOf(code);
  if (retryAfter !== undefined) reply.header('retry-after', retryAfter);
  return reply.code(statusOf(code)).send(reasons === undefined ? { code, text } : { code, text, reasons });
}

/** Migrations, ledgers, hosts and VMs are shown of all projects at once: a credential of one project has no business there. */
function ofWholeCsp(caller: Caller | ServiceRefusal): Caller | ServiceRefusal {
  if ('ok' in caller || caller.project === undefined) return caller;
  return { ok: false, code: 'PROJECT_LIMITED', text: `${caller.principal} is for the keys of project ${caller.project} only` };
}

/** What Fastify itself refuses comes by status; what nobody foresaw is ours to explain in the log, not to the caller. */
export function refusalOf(ports: Pick<AppPorts, 'log'>, error: unknown): ServiceRefusal {
  if (error instanceof RequestRefused) return error.refusal;
  switch (statusCodeOf(error)) {
    case 413:
      return { ok: false, code: 'REQUEST_TOO_LARGE', text: `the body exceeds ${BODY_BYTES_MAX} bytes` };
    case 415:
      return { ok: false, code: 'MEDIA_TYPE_UNSUPPORTED', text: 'send application/json or application/cloudevents+json' };
    case 400:
      return { ok: false, ...MALFORMED };
    default:
      if (isRetryable(error)) {
        ports.log.warn({ err: error, code: 'DATABASE_UNAVAILABLE' }, 'request not served');
        return {
          ok: false,
          code: 'DATABASE_UNAVAILABLE',
          text: 'the broker does not reach its database, or that takes nothing now; ask again in some seconds, the log says why',
        };
      }
      ports.log.error({ err: error }, 'request failed');
      return { ok: false, code: 'INTERNAL', text: 'the broker failed; its log says why' };
  }
}

const statusCodeOf = (error: unknown): unknown =>
  typeof error === 'object' && error !== null && 'statusCode' in error ? error.statusCode : undefined;
