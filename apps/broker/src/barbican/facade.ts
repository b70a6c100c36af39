import { STATUS_CODES } from 'node:http';
import { type App, type AppPorts, callerWith, type Reply, type Request, refusalOf } from '../http/app.ts';
import { readers } from '../http/route.ts';
import { retryAfterOf, statusOf } from '../http/status.ts';
import type { ServiceRefusal, ServiceResult } from '../service/result.ts';
import type { Caller } from '../users/caller.ts';
import { secretRoutes } from './routes.ts';
import { projectHeader } from './schemas.ts';
import type { SecretReader, Shown } from './secrets.ts';
import { MICROVERSION_HEADER, type Microversion, microversionOf, versionOf, versionsOf } from './versions.ts';

export type FacadePorts = AppPorts & { readonly secrets: SecretReader };

/** What Barbican has and this key manager has not. */
const ABSENT = ['containers', 'orders', 'cas', 'quotas', 'project-quotas', 'secret-stores', 'transport_keys'];
const WRITES = ['POST', 'PUT', 'PATCH', 'DELETE'];

/**
 * OpenStack's Key Manager API, v1, for reading: its services and its client find the keys of this key manager as secrets. Refusals
 * have Barbican's shape, without which the client fails on the refusal itself.
 */
export function addFacade(app: App, ports: FacadePorts): void {
  const callers = new WeakMap<object, Caller>();
  const errorHandler = (error: unknown, _request: Request, reply: Reply) => refuse(ports, reply, refusalOf(ports, error));
  /** Barbican's client ends some paths with a slash. */
  const route = (method: string[], path: string, handling: Handling): void => {
    for (const url of path === '/' ? [path] : [path, `${path}/`]) app.route({ method, url, errorHandler, ...handling });
  };
  // Before the body: what somebody would store here is not read, and whoever may not call learns of no path.
  const admit = async (request: Request, reply: Reply) => {
    const caller = await callerWith(readers, ports, request);
    if ('ok' in caller) return refuse(ports, reply, caller);
    callers.set(request, caller);
    return undefined;
  };
  const never = (code: string, text: string) => async (request: Request, reply: Reply) =>
    (await admit(request, reply)) ?? refuse(ports, reply, { ok: false, code, text });

  for (const [url, status, document] of [
    ['/', 300, versionsOf],
    ['/v1', 200, versionOf],
  ] as const)
    route(['GET'], url, {
      handler: (request, reply) => {
        const asked = shownOf(request);
        return 'ok' in asked ? refuse(ports, reply, asked) : send(reply, asked, status, document(asked.base, asked.microversion));
      },
    });
  for (const one of secretRoutes) {
    route(['GET'], one.path, {
      onRequest: admit,
      handler: async (request, reply) => {
        const asked = shownOf(request);
        if ('ok' in asked) return refuse(ports, reply, asked);
        const project = projectOf(callers.get(request), request);
        if (!project.ok) return refuse(ports, reply, project);
        const { params, query } = request;
        const result = await one.call(ports.secrets, { project: project.value, shown: asked, params, query });
        if (!result.ok) return refuse(ports, reply, result);
        return takesJson(request) ? send(reply, asked, 200, result.value) : refuse(ports, reply, NO_OTHER_TYPE);
      },
    });
    const text = 'keys are made, changed and ended by Carnet; this door reads';
    route(WRITES, one.path, { onRequest: never('READ_ONLY', text), handler: unreached });
  }
  for (const path of ['secrets/*', ...ABSENT.flatMap((name) => [name, `${name}/*`])])
    app.route({
      method: ['GET', ...WRITES],
      url: `/v1/${path}`,
      errorHandler,
      onRequest: never('ROUTE_UNKNOWN', 'this key manager keeps secrets, and has nothing else of Barbican'),
      handler: unreached,
    });
}

interface Handling {
  readonly onRequest?: (request: Request, reply: Reply) => Promise<Reply | undefined>;
  readonly handler: (request: Request, reply: Reply) => Promise<Reply> | Reply;
}

const unreached = (): never => {
  throw new Error('impossible: refused before its handler');
};

const NO_OTHER_TYPE: ServiceRefusal = {
  ok: false,
  code: 'ACCEPT_UNSUPPORTED',
  text: 'a key is described in application/json; its payload is not given out',
};

/** Barbican answers the payload itself to whoever asks a secret for anything but JSON. */
function takesJson({ headers: { accept } }: Request): boolean {
  return accept === undefined || accept === '' || /(^|[,\s])(application\/(json|\*)|\*\/\*)\s*($|[,;])/i.test(accept);
}

type AskedFor = Shown & { readonly microversion: Microversion };

function shownOf(request: Request): AskedFor | ServiceRefusal {
  const microversion = microversionOf(request.headers[MICROVERSION_HEADER]);
  if (microversion === undefined)
    return { ok: false, code: 'MICROVERSION_UNKNOWN', text: 'this API has the versions key-manager 1.0 and 1.1' };
  // References name the address by which the caller came, as it came.
  if (!/^[A-Za-z0-9.:[\]-]{1,255}$/.test(request.host)) return { ok: false, code: 'REQUEST_MALFORMED', text: 'the header Host' };
  return { base: `https://${request.host}`, consumers: microversion !== '1.0', microversion };
}

/** A credential that is bound to a project has that one, whatever the header says; others say for which project they ask. */
function projectOf(caller: Caller | undefined, request: Request): ServiceResult<NonNullable<Caller['project']>> {
  if (caller?.project !== undefined) return { ok: true, value: caller.project };
  const named = projectHeader.safeParse(request.headers['x-project-id']);
  return named.success
    ? { ok: true, value: named.data }
    : { ok: false, code: 'PARAMETER_INVALID', text: 'the header X-Project-Id names the project' };
}

function send(reply: Reply, { microversion }: AskedFor, status: number, body: unknown): Reply {
  return reply
    .code(status)
    .header(MICROVERSION_HEADER, `key-manager ${microversion}`)
    .header('vary', MICROVERSION_HEADER)
    .header('cache-control', 'no-store')
    .send(body);
}

function refuse({ metrics }: FacadePorts, reply: Reply, { code, text }: ServiceRefusal): Reply {
  metrics.refusals.inc({ code });
  const retryAfter = retryAfterOf(code);
  if (retryAfter !== undefined) reply.header('retry-after', retryAfter);
  const status = statusOf(code);
  if (status === 405) reply.header('allow', 'GET');
  return reply.code(status).send({ code: status, title: STATUS_CODES[status] ?? 'Refused', description: `${code}: ${text}` });
}
