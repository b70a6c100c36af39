import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import { createServer, type Server } from 'node:tls';
import { afterEach, describe, expect, it } from 'vitest';
import { issueLeaf } from './authority.ts';
import { writePem } from './pem.ts';
import { privateKeyPem } from './rsa-keys.ts';
import { createWorld, domainA, HOUR_MS, idOf, random } from './testing/chains.ts';
import { exchangeOverTls } from './tls-exchange.ts';

const world = await createWorld();
const nowMs = Date.now();
const NAME = `broker.${domainA}`;
const leaf = issueLeaf(world.a, {
  profile: 'broker',
  spiffeId: idOf(domainA, 'broker'),
  dnsNames: [NAME],
  publicKey: world.leafKeys.publicKey,
  notBeforeMs: nowMs - HOUR_MS,
  notAfterMs: Math.min(nowMs + HOUR_MS, world.a.notAfterMs),
  random,
});
const open: Server[] = [];
afterEach(() => {
  for (const server of open.splice(0)) server.close();
});

/** Whatever is asked is answered with these bytes, and then `then`. */
async function answeredWith(
  answer: string,
  then: 'end' | 'stay',
  question: { readonly timeoutMs?: number; readonly bytesMax?: number } = {},
) {
  const server = createServer({ key: privateKeyPem(world.leafKeys.privateKey), cert: leaf.pem }, (socket) => {
    socket.on('error', () => undefined);
    socket.once('data', () => (then === 'end' ? socket.end(answer) : socket.write(answer)));
  });
  open.push(server);
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  const tls = { ca: writePem('CERTIFICATE', world.root.certificate), servername: NAME };
  return exchangeOverTls(tls, new URL(`https://127.0.0.1:${port}/`), {
    method: 'GET',
    timeoutMs: 5_000,
    bytesMax: 100,
    ...question,
  });
}

describe('an exchange over TLS', () => {
  it('brings the whole answer, and who gave it', async () => {
    const { status, body, leaf: shown } = await answeredWith('HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\nyes', 'end');
    expect([status, Buffer.from(body).toString(), shown]).toEqual([200, 'yes', Buffer.from(leaf.certificate).toString('base64')]);
  });

  it.each([
    [
      'is of another protocol',
      'HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: other\r\n\r\n',
      /another protocol/,
    ],
    ['is longer than asked for', `HTTP/1.1 200 OK\r\ncontent-length: 101\r\n\r\n${'x'.repeat(101)}`, /too long/],
    ['breaks off', 'HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nhalf', /aborted/],
    ['is none', '', /hang up|ECONNRESET/],
    ['is not HTTP', 'whatever\r\n\r\n', /Parse Error|HTTP/],
  ])('ends where the answer %s', async (_, answer, why) => {
    await expect(answeredWith(answer, 'end')).rejects.toThrow(why);
  });

  it('ends where the answer does not, in its time', async () => {
    const half = 'HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nhalf';
    await expect(answeredWith(half, 'stay', { timeoutMs: 300 })).rejects.toThrow(/abort/i);
  });
});
