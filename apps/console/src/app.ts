import type { BrokerClient } from '@carnet/publisher';
import type { Log } from '@carnet/runtime';
import fastify, { type FastifyInstance, type FastifyReply, type FastifyRequest } from 'fastify';
import { type Access, isOwnHost } from './access.ts';
import type { Asset } from './assets.ts';
import { SECURITY_HEADERS } from './headers.ts';
import type { LedgerFeed } from './ledger-feed.ts';
import { FOLLOWERS_MAX } from './limits.ts';
import { relayFeed } from './relay.ts';
import { statusOf, upstreamOf } from './upstream.ts';

export interface AppPorts {
  /** Trust domain of the CSP whose broker this shows. */
  readonly domain: string;
  readonly broker: Pick<BrokerClient, 'get'>;
  readonly feed: LedgerFeed;
  readonly access: Access;
  readonly assets: ReadonlyMap<string, Asset>;
  readonly log: Pick<Log, 'info' | 'warn' | 'error'>;
}

const refuse = (reply: FastifyReply, status: number, code: string, text: string): FastifyReply =>
  reply.code(status).send({ code, text });

/** The console's one door. Every answer carries the security headers; nothing but GET is served; `/api` asks for the token. */
export function createConsoleApp(ports: AppPorts): FastifyInstance {
  const app = fastify({ logger: false, forceCloseConnections: true, exposeHeadRoutes: false });
  app.addHook('onRequest', async (request, reply) => {
    reply.headers(SECURITY_HEADERS);
    if (!isOwnHost(request.headers.host, portOf(request)))
      return refuse(reply, 421, 'HOST_REFUSED', 'this console answers to 127.0.0.1 and localhost only');
    if (request.method !== 'GET') return refuse(reply, 405, 'METHOD_REFUSED', 'this console only reads');
    return undefined;
  });
  app.setErrorHandler((error, _request, reply) => {
    ports.log.error({ err: error }, 'request failed');
    return refuse(reply, 500, 'INTERNAL', 'the console failed; its log says why');
  });
  app.setNotFoundHandler((request, reply) => sendAsset(ports, request, reply));
  app.get('/livez', (_request, reply) => reply.type('text/plain').send('ok\n'));
  app.register(
    async (api) => {
      // On the routes themselves, not on the text of the path: the router decodes `%61pi`, a comparison would not.
      api.addHook('onRequest', async (request, reply) => {
        if (ports.access.admits(request.headers.authorization)) return undefined;
        return refuse(reply, 401, 'TOKEN_REFUSED', 'open the link that carnet-console printed when it started');
      });
      addApi(api, ports);
    },
    { prefix: '/api' },
  );
  return app;
}

function addApi(app: FastifyInstance, { domain, broker, feed }: AppPorts): void {
  let followers = 0;
  app.get('/console', (_request, reply) => reply.header('cache-control', 'no-store').send({ domain, feed: feed.health() }));
  app.get('/key-events', (_request, reply) => reply.header('cache-control', 'no-store').send({ items: feed.recent.keyEvents }));
  app.get('/follow', async (request, reply) => {
    if (followers >= FOLLOWERS_MAX) return refuse(reply, 503, 'TOO_MANY_FOLLOWERS', `${FOLLOWERS_MAX} browsers follow already`);
    followers += 1;
    reply.hijack();
    const last = request.headers['last-event-id'];
    try {
      await relayFeed(feed, reply.raw, typeof last === 'string' && last !== '' ? last : undefined);
    } finally {
      followers -= 1;
    }
    return reply;
  });
  app.get('/*', async (request, reply) => {
    const { pathname, searchParams } = urlOf(request);
    const upstream = upstreamOf(pathname.slice('/api'.length), searchParams);
    if (upstream === undefined) return refuse(reply, 404, 'ROUTE_UNKNOWN', 'the console relays no such path');
    const answer = await broker.get<unknown>(upstream);
    reply.header('cache-control', 'no-store');
    return answer.ok ? reply.send(answer.value) : refuse(reply, statusOf(answer.code), answer.code, answer.text);
  });
}

function sendAsset({ assets }: AppPorts, request: FastifyRequest, reply: FastifyReply): FastifyReply {
  const asset = assets.get(pathOf(request));
  if (asset === undefined) return refuse(reply, 404, 'ROUTE_UNKNOWN', 'no such path');
  return reply.code(200).type(asset.type).header('cache-control', asset.cacheControl).send(asset.bytes);
}

/** The path as sent: no decoding, so that `%2e%2e` never becomes anything. */
const urlOf = (request: FastifyRequest): URL => new URL(request.raw.url ?? '/', 'http://console.invalid');
const pathOf = (request: FastifyRequest): string => urlOf(request).pathname;
const portOf = (request: FastifyRequest): number => request.raw.socket.localPort ?? 0;
