import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import { createMetrics } from '@carnet/runtime';
import { afterEach, describe, expect, it } from 'vitest';
import { createOpsServer } from './ops.ts';

const open: ReturnType<typeof createOpsServer>[] = [];
afterEach(() => open.splice(0).forEach((server) => void server.close()));

async function opsAt(probe: () => void): Promise<(path: string) => Promise<Response>> {
  const server = createOpsServer(createMetrics(), () => [{ name: 'database', probe }]);
  open.push(server);
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return (path) => fetch(`http://127.0.0.1:${(server.address() as AddressInfo).port}${path}`);
}

describe('ops endpoints', () => {
  it('a process that answers is alive', async () => {
    const get = await opsAt(() => undefined);
    expect((await get('/livez')).status).toBe(200);
  });

  it('ready while every check passes, and the failed check is named', async () => {
    let fails = false;
    const get = await opsAt(() => {
      if (fails) throw new Error('not connected');
    });
    expect((await get('/readyz')).status).toBe(200);
    fails = true;
    const response = await get('/readyz');
    expect(response.status).toBe(503);
    expect(await response.json()).toEqual({ ready: false, checks: [{ name: 'database', ok: false, text: 'not connected' }] });
    expect((await get('/livez')).status).toBe(200);
  });

  it('metrics in the text format of Prometheus', async () => {
    const get = await opsAt(() => undefined);
    expect(await (await get('/metrics')).text()).toContain('carnet_refusals_total');
  });

  it('nothing else', async () => {
    const get = await opsAt(() => undefined);
    expect((await get('/v1/keys')).status).toBe(404);
  });
});
