import { randomInt } from 'node:crypto';
import { connect, createServer } from 'node:net';
import { DevError } from './error.ts';

/**
 * Below the ports that the kernel gives to outgoing connections (from 32768 on): those come and go by the hundred while tests run, and one of
 * them would take the place of a daemon that is just being started again.
 */
const [PORT_MIN, PORT_MAX] = [20_000, 32_000];
const PORT_TRIES_MAX = 100;

/** Of this process: who was given a port may bind it much later. */
const given = new Set<number>();

/** A loopback TCP port that was free a moment ago, and never one twice; whoever binds it must be ready to lose the race with other processes. */
export async function freePort(): Promise<number> {
  for (let tries = 0; tries < PORT_TRIES_MAX; tries += 1) {
    const port = randomInt(PORT_MIN, PORT_MAX);
    if (given.has(port) || !(await isFree(port))) continue;
    given.add(port);
    return port;
  }
  throw new DevError('PORT_NONE', `no free port between ${PORT_MIN} and ${PORT_MAX}`);
}

async function isFree(port: number): Promise<boolean> {
  const server = createServer();
  const listening = await new Promise<boolean>((resolve) => {
    server.once('error', () => resolve(false));
    server.listen(port, '127.0.0.1', () => resolve(true));
  });
  if (listening) await new Promise<void>((resolve) => server.close(() => resolve()));
  return listening;
}

/** Where a daemon should answer: a loopback port or a unix socket. */
export type Endpoint = { readonly port: number } | { readonly path: string };

/** True when something accepts a connection there. */
export function accepts(endpoint: Endpoint): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = 'port' in endpoint ? connect({ host: '127.0.0.1', port: endpoint.port }) : connect({ path: endpoint.path });
    socket.once('connect', () => {
      socket.destroy();
      resolve(true);
    });
    socket.once('error', () => resolve(false));
  });
}
