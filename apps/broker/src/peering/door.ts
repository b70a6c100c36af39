import { serverTlsOptions, shownLeaf, type TlsMaterial } from '@carnet/pki';
import type { Log, Metrics } from '@carnet/runtime';
import type { z } from 'zod';
import { type App, createApp, type Reply, type Request, refusalOf, takeStrictJson } from '../http/app.ts';
import { statusOf } from '../http/status.ts';
import type { ServiceResult } from '../service/result.ts';
import type { Inviter } from './inviter.ts';
import { DOOR_DOMAINS_MAX, DOOR_REQUESTS_MAX, DOOR_WINDOW_MS } from './limits.ts';
import { refuse } from './ports.ts';
import { FINISH_PATH, finishRequest, HELLO_PATH, helloRequest, NEWS_PATH, newsRequest } from './wire.ts';

export interface PeeringDoorPorts {
  readonly inviter: Inviter;
  readonly tls: TlsMaterial;
  readonly nowMs: () => number;
  readonly log: Log;
  readonly metrics: Metrics;
}

/**
 * The door for brokers of CSPs that were invited: TLS 1.3, and a client certificate under the federation's root, by OpenSSL, or there
 * is no connection. Whose it is, and whether it is revoked, is judged with each request by the lists that the stranger brings.
 */
export function peeringDoor(ports: PeeringDoorPorts): App {
  const { inviter } = ports;
  const app = createApp(serverTlsOptions(ports.tls));
  const mayAsk = limiter(ports.nowMs);
  takeStrictJson(app);
  app.setErrorHandler((error, _request, reply) => {
    const { code, text } = refusalOf(ports, error);
    return reply.code(statusOf(code)).send({ code, text });
  });
  app.setNotFoundHandler((_request, reply) => reply.code(404).send({ code: 'ROUTE_UNKNOWN', text: 'no such path' }));
  const serve = <B extends z.ZodType, A>(
    path: string,
    body: B,
    answer: (leaf: string, asked: z.output<B>) => Promise<ServiceResult<A>>,
  ): void => {
    app.post(path, async (request: Request, reply: Reply) => {
      const leaf = shownLeaf(request.raw.socket);
      const asked = body.safeParse(request.body);
      if (leaf === undefined || !asked.success) return reply.code(400).send(MALFORMED);
      const result = mayAsk(leaf)
        ? await answer(leaf, asked.data)
        : refuse('PEERING_TOO_OFTEN', 'too many requests: wait for some seconds');
      if (result.ok) return reply.send(result.value);
      ports.metrics.refusals.inc({ code: result.code });
      ports.log.warn({ code: result.code, path, address: request.ip }, 'refused at the door for peers');
      return reply.code(statusOf(result.code)).send({ code: result.code, text: result.text });
    });
  };
  serve(HELLO_PATH, helloRequest, inviter.hello);
  serve(FINISH_PATH, finishRequest, inviter.finish);
  serve(NEWS_PATH, newsRequest, inviter.news);
  return app;
}

const MALFORMED = { code: 'REQUEST_MALFORMED', text: 'the request is not well formed' };

/** By certificate: only holders of one of the federation get this far, and each has few. */
function limiter(nowMs: () => number): (leaf: string) => boolean {
  let beganMs = nowMs();
  const counts = new Map<string, number>();
  return (leaf) => {
    if (nowMs() - beganMs >= DOOR_WINDOW_MS || counts.size > DOOR_DOMAINS_MAX) {
      counts.clear();
      beganMs = nowMs();
    }
    const count = (counts.get(leaf) ?? 0) + 1;
    counts.set(leaf, count);
    return count <= DOOR_REQUESTS_MAX;
  };
}
