import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { createServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import { tmpdir, userInfo } from 'node:os';
import { join } from 'node:path';
import { spiffeId, trustDomain } from '@carnet/events';
import {
  createIntermediate,
  createRoot,
  type IssuedLeaf,
  issueLeaf,
  privateKeyPem,
  rememberedRsaKeys,
  writePem,
} from '@carnet/pki';
import type { BrokerAddress } from '../client.ts';

export interface Seen {
  readonly method: string;
  readonly path: string;
  readonly headers: IncomingMessage['headers'];
  readonly body: string;
}
export type Handler = (seen: Seen, response: ServerResponse) => void;

export interface StandIn {
  readonly address: BrokerAddress;
  /** The client's own certificate: its leaf in DER, and its key. */
  readonly leaf: IssuedLeaf;
  readonly keyPem: string;
  readonly seen: Seen[];
  readonly script: (handler: Handler) => void;
  readonly close: () => void;
}

const domain = trustDomain.parse('csp-a.example');
const HOUR_MS = 3_600_000;

/** An HTTPS server with a broker's certificate that answers as it is told. */
export async function openStandIn(nowMs: number): Promise<StandIn> {
  const source = rememberedRsaKeys(join(tmpdir(), `carnet-test-keys-${userInfo().uid}`));
  const [rootKeys, ownKeys, leafKeys] = [await source(), await source(), await source()];
  const lifetime = { notBeforeMs: nowMs - HOUR_MS, notAfterMs: nowMs + HOUR_MS, random: randomBytes };
  const root = createRoot({ ...lifetime, name: 'Test root', keys: rootKeys });
  const authority = createIntermediate(root, { ...lifetime, domain, keys: ownKeys });
  const leaf = issueLeaf(authority, {
    ...lifetime,
    profile: 'broker',
    spiffeId: spiffeId.parse(`spiffe://${domain}/broker`),
    dnsNames: [`broker.${domain}`],
    publicKey: leafKeys.publicKey,
  });
  const keyPem = privateKeyPem(leafKeys.privateKey);
  const seen: Seen[] = [];
  let handler: Handler = (_seen, response) => response.end('{}');
  const server = createServer({ key: keyPem, cert: leaf.pem, minVersion: 'TLSv1.3' }, (request, response) => {
    const parts: Buffer[] = [];
    request.on('data', (part: Buffer) => parts.push(part));
    request.on('end', () => {
      const one = {
        method: request.method ?? '',
        path: request.url ?? '',
        headers: request.headers,
        body: Buffer.concat(parts).toString(),
      };
      seen.push(one);
      handler(one, response);
    });
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  return {
    address: {
      url: `https://127.0.0.1:${port}`,
      serverName: `broker.${domain}`,
      ca: writePem('CERTIFICATE', root.certificate),
      credentials: { kind: 'token', token: 'a-token-of-the-scheduler' },
    },
    leaf,
    keyPem,
    seen,
    script: (next) => {
      seen.length = 0;
      handler = next;
    },
    close: () => {
      server.closeAllConnections();
      server.close();
    },
  };
}

export const answer = (response: ServerResponse, status: number, body: unknown): void => {
  response.writeHead(status, { 'content-type': 'application/json' });
  response.end(JSON.stringify(body));
};
