import { once } from 'node:events';
import { createServer, type Server } from 'node:http';
import { type Check, type Metrics, readiness } from '@carnet/runtime';

interface Answer {
  readonly status: number;
  readonly type: string;
  readonly body: string;
}
const plain = (status: number, body: string): Answer => ({ status, type: 'text/plain', body });

/** `/livez`, `/readyz`, `/metrics`: plain HTTP, meant for loopback; holds nothing that names a tenant or a key. */
/** @param checks asked at each request: while a process starts, other things must work than later */
export function createOpsServer(metrics: Metrics, checks: () => readonly Check[]): Server {
  return createServer(async (request, response) => {
    const { status, type, body } = await answer(request.url ?? '/', metrics, checks).catch(() => plain(500, 'failed\n'));
    response.writeHead(status, { 'content-type': type, 'cache-control': 'no-store' });
    response.end(body);
  });
}

async function answer(url: string, metrics: Metrics, checks: () => readonly Check[]): Promise<Answer> {
  switch (url) {
    case '/livez':
      return plain(200, 'ok\n');
    case '/readyz': {
      const result = await readiness(checks());
      return { status: result.ready ? 200 : 503, type: 'application/json', body: `${JSON.stringify(result)}\n` };
    }
    case '/metrics':
      return { status: 200, type: metrics.registry.contentType, body: await metrics.registry.metrics() };
    default:
      return plain(404, 'no such path: /livez, /readyz, /metrics\n');
  }
}

/** Opens the server at its address; a port that is taken throws. */
export async function openOps(
  at: { readonly address: string; readonly port: number },
  metrics: Metrics,
  checks: () => readonly Check[],
): Promise<{ readonly close: () => Promise<void> }> {
  const server = createOpsServer(metrics, checks);
  server.listen(at.port, at.address);
  await once(server, 'listening');
  return {
    close: async () => {
      server.close();
      server.closeAllConnections();
    },
  };
}
