import { connect, createServer } from 'node:net';

/** A loopback TCP port that was free a moment ago; whoever binds it must be ready to lose the race. */
export async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(0, '127.0.0.1', resolve);
  });
  const address = server.address();
  await new Promise<void>((resolve) => server.close(() => resolve()));
  if (address === null || typeof address === 'string') throw new TypeError('a TCP server has an address with a port');
  return address.port;
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
