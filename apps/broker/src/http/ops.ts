import { createServer, type Server } from 'node:http';
import { type Check, type Metrics, readiness } from '@carnet/runtime';

/** `/livez`, `/readyz`, `/metrics`: plain HTTP, meant for loopback; holds nothing that names a tenant or a key. */
export function createOpsServer(metrics: Metrics, checks: readonly Check[]): Server {
  return createServer((request, response) => {
    void answer(request.url ?? '/', metrics, checks).then(({ status, type, body }) => {
      response.writeHead(status, { 'content-type': type, 'cache-control': 'no-store' });
      response.end(body);
    });
  });
}

async function answer(url: string, metrics: Metrics, checks: readonly Check[]): Promise<{ readonly status: number; readonly type: string; readonly body: string }> {
  switch (url) {
    case '/livez':
      return { status: 200, type: 'text/plain', body: 'ok\n' };
    case '/readyz': {
      const { ready, checks: results } = await readiness(checks);
      return { status: ready ? 200 : 503, type: 'application/json', body: `${JSON.stringify({ ready, checks: results })}\n` };
    }
    case '/metrics':
      return { status: 200, type: metrics.registry.contentType, body: await metrics.registry.metrics() };
    default:
      return { status: 404, type: 'text/plain', body: 'no such path: /livez, /readyz, /metrics\n' };
  }
}
