import { randomBytes } from 'node:crypto';
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import type { IncomingMessage } from 'node:http';
import { request } from 'node:https';
import type { AddressInfo } from 'node:net';
import { tmpdir, userInfo } from 'node:os';
import { join } from 'node:path';
import { hostName, timestamp, trustDomain } from '@carnet/events';
import {
  createCrl,
  createFederationPki,
  type FederationPki,
  readCertificate,
  readPem,
  rememberedRsaKeys,
  type TlsMaterial,
} from '@carnet/pki';
import type { Role } from '@carnet/policy';
import { createMetrics } from '@carnet/runtime';
import { pino } from 'pino';
import { openSecretReader, type SecretReader } from '../../barbican/secrets.ts';
import type { BrokerService } from '../../service/service.ts';
import { SHOWN } from '../../users/testing/shown.ts';
import type { ByToken } from '../../users/users.ts';
import type { App } from '../app.ts';
import { certificateDoor, type DoorPorts, tokenDoor } from '../doors.ts';

export const A = trustDomain.parse('csp-a.example');
export const B = trustDomain.parse('csp-b.example');
export const NOW_MS = Date.now();
const SERVER_NAME = `broker.${A}`;

/** Which roles a principal holds is its last path segment: `…/operator`, `viewer`. */
const roleOf = (principal: string): readonly Role[] => {
  const name = principal.split('/').at(-1) ?? '';
  return ROLES.filter((role) => role === name);
};
export const ROLES = [
  'viewer',
  'operator',
  'scheduler',
  'auditor',
  'key-custodian',
  'administrator',
] as const satisfies readonly Role[];

/** A key manager without a key. */
const noSecrets: SecretReader = openSecretReader(
  {
    pageOfTenant: async () => ({ keys: [], total: 0 }),
    consumersOf: async () => new Map(),
    consumersSince: async () => [],
  },
  A,
);

export interface Credentials {
  readonly cert?: string;
  readonly key?: string;
  readonly token?: string;
}
export interface Reply {
  readonly status: number;
  readonly body: unknown;
}
export interface Asked {
  readonly method?: string;
  readonly path: string;
  readonly body?: string | Buffer;
  readonly headers?: Readonly<Record<string, string>>;
}

export interface DoorsWorld {
  readonly dir: string;
  readonly pki: FederationPki;
  readonly tls: TlsMaterial;
  /** By a CRL of A's intermediate that is newer than the one in the directory. */
  readonly revoke: (leaf: Uint8Array) => void;
  /** `byToken`: instead of one token for each role. */
  readonly open: (
    service: BrokerService,
    byToken?: ByToken,
    secrets?: SecretReader,
  ) => Promise<{ readonly mtls: number; readonly token: number }>;
  readonly tokenOf: (principal: string) => string;
  readonly certificateOf: (domain: string, name: string) => Promise<Credentials>;
  readonly ask: (port: number, who: Credentials, asked: Asked) => Promise<Reply>;
  readonly stream: (port: number, who: Credentials, asked: Asked) => Promise<IncomingMessage>;
  readonly close: () => Promise<void>;
}

/** Two CSPs' certificates, and A's two doors over real TLS on loopback. */
export async function createDoorsWorld(): Promise<DoorsWorld> {
  const dir = await mkdtemp(join(tmpdir(), 'carnet-doors-'));
  const pki = await createFederationPki({
    dir,
    domains: [A, B].map((domain) => ({ domain, hosts: [hostName.parse('host-1')] })),
    busDomain: trustDomain.parse('bus.example'),
    nowMs: NOW_MS,
    random: randomBytes,
    keys: rememberedRsaKeys(join(tmpdir(), `carnet-test-keys-${userInfo().uid}`)),
  });
  const apps: App[] = [];
  const crls = await Promise.all((await readdir(join(dir, 'crls'))).map((name) => readFile(join(dir, 'crls', name))));
  const trust = { roots: [pki.root.certificate], crls };
  const tls: TlsMaterial = {
    keyPem: await readFile(join(dir, A, 'broker.key'), 'utf8'),
    chainPem: await readFile(join(dir, A, 'broker.pem'), 'utf8'),
    store: () => trust,
    now: () => timestamp.parse(new Date(NOW_MS).toISOString()),
  };
  const root = await readFile(join(dir, 'root.pem'), 'utf8');
  const tokens = new Map(ROLES.map((role) => [role as string, randomBytes(24).toString('base64url')]));
  const byRole: ByToken = async ({ authorization }) => {
    const [principal] = [...tokens].find(([, token]) => authorization === `Bearer ${token}`) ?? [];
    return principal === undefined
      ? { ok: false, code: authorization === undefined ? 'CALLER_UNKNOWN' : 'TOKEN_REFUSED', text: 'not known' }
      : { principal, via: 'token', credential: SHOWN };
  };

  const stream = (
    port: number,
    { cert, key, token }: Credentials,
    { method = 'GET', path, body, headers }: Asked,
  ): Promise<IncomingMessage> =>
    new Promise((resolve, reject) => {
      const auth = token === undefined ? {} : { authorization: `Bearer ${token}` };
      const type =
        body === undefined ? {} : { 'content-type': 'application/json', 'content-length': String(Buffer.byteLength(body)) };
      const options = {
        host: '127.0.0.1',
        port,
        path,
        method,
        ca: root,
        servername: SERVER_NAME,
        agent: false,
        headers: { ...type, ...auth, ...headers },
      };
      const outgoing = request({ ...options, ...(cert === undefined || key === undefined ? {} : { cert, key }) }, resolve);
      outgoing.on('error', reject);
      outgoing.end(body);
    });

  return {
    dir,
    pki,
    tls,
    revoke: (leaf) => {
      const authority = pki.members.get(A)?.authority;
      if (authority === undefined) throw new Error('no authority');
      const read = readCertificate(leaf);
      if (!read.ok) throw new Error(read.text);
      const { serial } = read.value;
      const revoked = [{ serial, atMs: NOW_MS - 1_000, reason: 'keyCompromise' as const }];
      crls.push(
        Buffer.from(createCrl(authority, { number: 2, thisUpdateMs: NOW_MS - 1_000, nextUpdateMs: NOW_MS + 3_600_000, revoked })),
      );
    },
    open: async (service, byToken = byRole, secrets = noSecrets) => {
      const log = pino({ level: 'silent' });
      const ports: DoorPorts = { service, secrets, roleOf, log, metrics: createMetrics(), domain: A, tls };
      const doors = [certificateDoor(ports), tokenDoor(ports, byToken)];
      apps.push(...doors);
      const [mtls = 0, token = 0] = await Promise.all(
        doors.map(async (app) => {
          await app.listen({ host: '127.0.0.1', port: 0 });
          return (app.server.address() as AddressInfo).port;
        }),
      );
      return { mtls, token };
    },
    tokenOf: (principal) => tokens.get(principal) ?? '',
    certificateOf: async (domain, name) => ({
      cert: await readFile(join(dir, domain, `${name}.pem`), 'utf8'),
      key: await readFile(join(dir, domain, `${name}.key`), 'utf8'),
    }),
    stream,
    ask: async (port, who, asked) => {
      const response = await stream(port, who, asked);
      response.setEncoding('utf8');
      let text = '';
      for await (const part of response) text += String(part);
      return { status: response.statusCode ?? 0, body: text === '' ? undefined : JSON.parse(text) };
    },
    close: async () => {
      await Promise.all(apps.map((app) => app.close()));
      await rm(dir, { recursive: true, force: true });
    },
  };
}

/** The leaf's DER of a PEM chain. */
export const leafOf = (pem: string): Uint8Array => readPem(pem, 'CERTIFICATE')[0] ?? new Uint8Array();
