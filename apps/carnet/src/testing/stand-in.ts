import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import { tmpdir, userInfo } from 'node:os';
import { join } from 'node:path';
import { hostName, trustDomain } from '@carnet/events';
import { createFederationPki, rememberedRsaKeys } from '@carnet/pki';

export interface Seen {
  readonly method: string;
  readonly path: string;
  readonly body: unknown;
}
/** `text`: lines of a stream; the connection is cut after it when `cut`. */
export type Reply = { readonly status?: number; readonly json: unknown } | { readonly text: string } | 'hang' | 'cut';
export type Script = Readonly<Record<string, Reply | ((seen: Seen) => Reply)>>;

export interface StandIn {
  /** The folder that stands in for `$XDG_CONFIG_HOME`. */
  readonly configHome: string;
  readonly seen: Seen[];
  /** By `METHOD /path` without the query. */
  readonly script: (script: Script) => void;
  readonly close: () => void;
}

const DOMAIN = trustDomain.parse('csp-a.example');

/** A broker of which only what is scripted answers, over real TLS with both certificates. */
export async function openStandIn(): Promise<StandIn> {
  const configHome = mkdtempSync(join(tmpdir(), 'carnet-cli-'));
  const dir = join(configHome, 'carnet');
  const pki = await createFederationPki({
    dir,
    domains: [{ domain: DOMAIN, hosts: [hostName.parse('host-1')] }],
    busDomain: trustDomain.parse('bus.example'),
    nowMs: Date.now(),
    random: randomBytes,
    keys: rememberedRsaKeys(join(tmpdir(), `carnet-test-keys-${userInfo().uid}`)),
  });
  const leaf = pki.members.get(DOMAIN)?.leaves.get('broker');
  if (leaf === undefined) throw new Error('no broker certificate');
  const seen: Seen[] = [];
  let script: Script = {};
  const key = leaf.keys.privateKey.export({ format: 'pem', type: 'pkcs8' });
  const server = createServer({ key, cert: leaf.pem, minVersion: 'TLSv1.3' }, (request, response) => {
    const parts: Buffer[] = [];
    request.on('data', (part: Buffer) => parts.push(part));
    request.on('end', () => {
      const text = Buffer.concat(parts).toString();
      const path = request.url ?? '';
      const one: Seen = { method: request.method ?? '', path, body: text === '' ? undefined : JSON.parse(text) };
      seen.push(one);
      const scripted = script[`${one.method} ${path.split('?')[0]}`];
      const reply =
        typeof scripted === 'function'
          ? scripted(one)
          : (scripted ?? { status: 404, json: { code: 'ROUTE_UNKNOWN', text: path } });
      if (reply === 'hang') return;
      if (reply === 'cut') return void response.destroy();
      if ('text' in reply) return void response.writeHead(200).write(reply.text);
      response.writeHead(reply.status ?? 200, { 'content-type': 'application/json' }).end(JSON.stringify(reply.json));
    });
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  writeContext(dir, 'default', port, [
    'certificateFile = "csp-a.example/operator.pem"',
    'keyFile = "csp-a.example/operator.key"',
  ]);
  writeContext(dir, 'scheduler', port, ['tokenFile = "token"']);
  // A port of a server that is gone: nobody listens there.
  writeContext(dir, 'nobody', 1, ['tokenFile = "token"']);
  writeFileSync(join(dir, 'token'), 'a-token-of-the-scheduler\n');
  writeFileSync(join(dir, 'broken.toml'), 'url = "http://plain"\n');
  return {
    configHome,
    seen,
    script: (next) => {
      seen.length = 0;
      script = next;
    },
    close: () => {
      server.closeAllConnections();
      server.close();
      rmSync(configHome, { recursive: true });
    },
  };
}

function writeContext(dir: string, name: string, port: number, credentials: readonly string[]): void {
  const lines = [
    `url = "https://127.0.0.1:${port}"`,
    'serverName = "broker.csp-a.example"',
    'rootFile = "root.pem"',
    ...credentials,
  ];
  writeFileSync(join(dir, `${name}.toml`), `${lines.join('\n')}\n`);
}
