import { createServer, type IncomingMessage, request, type ServerResponse } from 'node:http';

/**
 * What goes wrong with one request. `refuse`: it never arrives. `forget`: it is done, and its answer is lost. `hang`: it is done, and nothing
 * comes. `twice`: it is done two times. `page`: something between answers in HTML.
 */
export type Fault = 'refuse' | 'forget' | 'hang' | 'twice' | 'page';
export type FaultProxy = {
  readonly url: string;
  /** The next request that `matches` ("PUT /v1/secrets/…") fails like this, once. Answers how often it has by now. */
  readonly fail: (fault: Fault, matches: RegExp) => () => number;
  /** The token of the last request. */
  readonly token: () => string | undefined;
  readonly close: () => Promise<void>;
};

/** Stands between the key manager and a real Barbican. */
export async function faultProxy(target: string): Promise<FaultProxy> {
  const plan: { readonly fault: Fault; readonly matches: RegExp; count: number }[] = [];
  let token: string | undefined;
  const answer = async (incoming: IncomingMessage, outgoing: ServerResponse): Promise<void> => {
    const chunks: Buffer[] = [];
    for await (const chunk of incoming) chunks.push(Buffer.from(chunk));
    const header = incoming.headers['x-auth-token'];
    if (typeof header === 'string') token = header;
    const line = `${incoming.method} ${incoming.url}`;
    const planned = plan.find((one) => one.count === 0 && one.matches.test(line));
    if (planned !== undefined) planned.count += 1;
    const fault = planned?.fault;
    if (fault === 'refuse') return void incoming.socket.destroy();
    if (fault === 'page') return void outgoing.writeHead(502, { 'content-type': 'text/html' }).end('<h1>Bad Gateway</h1>');
    const body = Buffer.concat(chunks);
    const first = await forward(target, incoming, body);
    const reply = fault === 'twice' ? await forward(target, incoming, body) : first;
    if (fault === 'forget') return void incoming.socket.destroy();
    if (fault === 'hang') return;
    outgoing.writeHead(reply.status, reply.headers).end(reply.body);
  };
  const server = createServer((incoming, outgoing) => {
    answer(incoming, outgoing).catch(() => incoming.socket.destroy());
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('a TCP server has a port');
  return {
    url: `http://127.0.0.1:${address.port}`,
    fail: (fault, matches) => {
      const one = { fault, matches, count: 0 };
      plan.push(one);
      return () => one.count;
    },
    token: () => token,
    close: () =>
      new Promise((resolve) => {
        server.closeAllConnections();
        server.close(() => resolve());
      }),
  };
}

type Reply = { readonly status: number; readonly headers: Readonly<Record<string, string>>; readonly body: Buffer };

function forward(target: string, incoming: IncomingMessage, body: Buffer): Promise<Reply> {
  return new Promise((resolve, reject) => {
    const { host: _host, connection: _connection, ...headers } = incoming.headers;
    const sent = request(`${target}${incoming.url}`, { method: incoming.method ?? 'GET', headers, agent: false }, (response) => {
      const chunks: Buffer[] = [];
      response.on('data', (chunk: Buffer) => chunks.push(chunk));
      response.on('error', reject);
      response.on('end', () => {
        const type = response.headers['content-type'];
        resolve({
          status: response.statusCode ?? 500,
          headers: type === undefined ? {} : { 'content-type': type },
          body: Buffer.concat(chunks),
        });
      });
    });
    sent.on('error', reject);
    sent.end(body);
  });
}
