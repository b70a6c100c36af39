import { spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { createServer, request } from 'node:https';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { exportJWK, generateKeyPair } from 'jose';
import { Provider } from 'oidc-provider';
import { z } from 'zod';

export interface IdentityProvider {
  readonly issuer: string;
  readonly caFile: string;
  /** An access token for a service (RFC 6749, section 4.4), as this provider itself issues it. */
  readonly tokenFor: (client: string, audience: string) => Promise<string>;
  /** How often its key set was asked for. */
  readonly keySetsAsked: () => number;
  readonly close: () => Promise<void>;
}

/** A path that is answered with another protocol than HTTP. */
export const OTHER_PROTOCOL = '/other-protocol';

/** A whole OpenID provider on loopback, under a certificate of a CA of its own. */
export async function startIdentityProvider(clients: readonly string[]): Promise<IdentityProvider> {
  const dir = mkdtempSync(join(tmpdir(), 'carnet-oidc-'));
  const [keyFile, caFile] = [join(dir, 'key.pem'), join(dir, 'ca.pem')];
  const subject = '-subj /CN=idp -addext subjectAltName=DNS:localhost'.split(' ');
  const ec = '-newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes'.split(' ');
  const made = spawnSync('openssl', ['req', '-x509', '-days', '2', ...ec, ...subject, '-keyout', keyFile, '-out', caFile], {
    encoding: 'utf8',
  });
  if (made.status !== 0) throw new Error(`openssl: ${made.stderr}`, { cause: made.error });
  let keySetsAsked = 0;
  // The issuer's name holds the port, which is known once the server listens.
  const provider = Promise.withResolvers<ReturnType<Provider['callback']>>();
  const server = createServer(
    { key: readFileSync(keyFile), cert: readFileSync(caFile), minVersion: 'TLSv1.3' },
    (asked, reply) => {
      if (asked.url === '/jwks') keySetsAsked += 1;
      if (asked.url === OTHER_PROTOCOL) return void reply.writeHead(101, { connection: 'upgrade', upgrade: 'other' }).end();
      return void provider.promise.then((serve) => serve(asked, reply));
    },
  );
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const issuer = `https://localhost:${(server.address() as AddressInfo).port}`;
  provider.resolve(await providerOf(issuer, clients));
  return {
    issuer,
    caFile,
    tokenFor: (client, audience) => clientCredentials(issuer, readFileSync(caFile, 'utf8'), client, audience),
    keySetsAsked: () => keySetsAsked,
    close: async () => {
      server.closeAllConnections();
      server.close();
      await once(server, 'close');
      rmSync(dir, { recursive: true });
    },
  };
}

const SECRET = 'only for tests, and only on loopback';

async function providerOf(issuer: string, clients: readonly string[]) {
  const { privateKey } = await generateKeyPair('ES256', { extractable: true });
  const provider = new Provider(issuer, {
    jwks: { keys: [{ ...(await exportJWK(privateKey)), kid: 'one', use: 'sig', alg: 'ES256' }] },
    clients: clients.map((client) => ({
      client_id: client,
      client_secret: SECRET,
      grant_types: ['client_credentials'],
      redirect_uris: [],
      response_types: [],
      id_token_signed_response_alg: 'ES256',
    })),
    features: {
      devInteractions: { enabled: false },
      clientCredentials: { enabled: true },
      resourceIndicators: {
        enabled: true,
        getResourceServerInfo: (_context, resource) => ({
          scope: '',
          audience: resource,
          accessTokenFormat: 'jwt',
          jwt: { sign: { alg: 'ES256' } },
        }),
      },
    },
    extraTokenClaims: (_context, token) => ({ sub: token.clientId }),
    ttl: { ClientCredentials: 600 },
  });
  return provider.callback();
}

async function clientCredentials(issuer: string, ca: string, client: string, audience: string): Promise<string> {
  const body = new URLSearchParams({ grant_type: 'client_credentials', resource: audience }).toString();
  const authorization = `Basic ${Buffer.from(`${client}:${encodeURIComponent(SECRET)}`).toString('base64')}`;
  const headers = { 'content-type': 'application/x-www-form-urlencoded', authorization };
  const outgoing = request(`${issuer}/token`, { ca, method: 'POST', headers, agent: false });
  outgoing.end(body);
  const [response] = await once(outgoing, 'response');
  let text = '';
  for await (const part of response) text += String(part);
  return z.object({ access_token: z.string() }).parse(JSON.parse(text)).access_token;
}
