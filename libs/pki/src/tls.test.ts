import { once } from 'node:events';
import { createServer as createHttpsServer, request } from 'node:https';
import type { AddressInfo } from 'node:net';
import { setTimeout } from 'node:timers/promises';
import { type ConnectionOptions, connect, createServer, type Server, type TlsOptions } from 'node:tls';
import { afterEach, describe, expect, it } from 'vitest';
import { type Authority, issueLeaf } from './authority.ts';
import { createCrl, type Revocation } from './build-crl.ts';
import { readCertificate } from './certificate.ts';
import { PeerRefused } from './error.ts';
import { CRL_RECHECK_MS } from './limits.ts';
import type { LeafProfile } from './profiles.ts';
import { privateKeyPem, type RsaKeyPair } from './rsa-keys.ts';
import { createWorld, crlOf, domainA, domainB, HOUR_MS, idOf, random, timeAt } from './testing/chains.ts';
import {
  clientTlsOptions,
  type ExpectedPeer,
  guardServer,
  peerIdentity,
  serverTlsOptions,
  type TlsMaterial,
  tokenServerTlsOptions,
} from './tls.ts';

const world = await createWorld();
// OpenSSL's own check inside the handshake uses the machine's clock.
const nowMs = Date.now();
const lifetime = { notBeforeMs: nowMs - HOUR_MS, notAfterMs: Math.min(nowMs + HOUR_MS, world.a.notAfterMs) };

type Party = TlsMaterial & { readonly leaf: Uint8Array };

function partyOf(
  authority: Authority,
  keys: RsaKeyPair,
  path: string,
  revoked: readonly Revocation[] = [],
  profile: LeafProfile = 'agent',
): Party {
  const domain = authority.domain ?? domainA;
  const spiffeId = idOf(domain, path);
  const leaf = issueLeaf(authority, {
    ...lifetime,
    profile,
    spiffeId,
    dnsNames: [`host-1.${domain}`],
    publicKey: keys.publicKey,
    random,
  });
  const crls = [crlOf(world.root), crlOf(world.a, revoked), crlOf(world.b)];
  const store = { roots: [world.root.certificate], crls, intermediates: [world.b.certificate] };
  return {
    leaf: leaf.certificate,
    keyPem: privateKeyPem(keys.privateKey),
    chainPem: leaf.pem,
    store: () => store,
    now: () => timeAt(nowMs),
  };
}

const a = partyOf(world.a, world.leafKeys, 'agent/host-1');
const b = partyOf(world.b, world.otherKeys, 'agent/host-1');
const digestOf = ({ leaf }: Party) => {
  const read = readCertificate(leaf);
  if (!read.ok) throw new Error(read.text);
  return read.value.digest;
};
const serialOf = ({ leaf }: Party) => {
  const read = readCertificate(leaf);
  return read.ok ? read.value.serial : '';
};
const withRevoked = (judge: Party, authority: Authority, party: Party): Party => {
  const revoked = crlOf(authority, [{ serial: serialOf(party), atMs: nowMs - HOUR_MS, reason: 'keyCompromise' }], 2);
  const store = { ...judge.store(), crls: [...judge.store().crls, revoked] };
  return { ...judge, store: () => store };
};

const open: Server[] = [];
afterEach(() => {
  for (const server of open.splice(0)) server.close();
});

type Outcome = { readonly client: string; readonly server: string };

/** What each side says of one connection over which the server greets. */
async function meet(
  serverOptions: TlsOptions,
  guard: readonly [TlsMaterial, ExpectedPeer],
  client: ConnectionOptions,
): Promise<Outcome> {
  let said = 'nothing';
  const server = createServer(serverOptions, (socket) => {
    socket.on('error', () => undefined);
    const identity = peerIdentity(socket);
    if (identity === undefined) return;
    said = identity.spiffeId;
    socket.end('hello');
  });
  open.push(server);
  server.on('tlsClientError', (error) => (said = `tls: ${error.message}`));
  guardServer(server, ...guard, (refusal) => (said = refusal.code));
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const heard = await listen({ ...client, host: '127.0.0.1', port: portOf(server) });
  return { client: heard, server: said };
}

const portOf = (server: Server) => {
  const address: AddressInfo | string | null = server.address();
  return typeof address === 'object' && address !== null ? address.port : 0;
};

function listen(options: ConnectionOptions): Promise<string> {
  return new Promise((resolve) => {
    const socket = connect(options);
    let heard = '';
    socket.on('data', (chunk) => (heard += chunk.toString()));
    socket.on('error', (error) => resolve(error instanceof PeerRefused ? error.code : `tls: ${error.message}`));
    socket.on('close', () => resolve(heard === '' ? 'closed' : heard));
  });
}

const expectA: ExpectedPeer = { trustDomain: domainA };
const expectB: ExpectedPeer = { trustDomain: domainB };

describe('TLS between two CSPs', () => {
  it('lets the agreed peers meet, pinned to identity and certificate, under TLS 1.3', async () => {
    const pinA = { ...expectA, spiffeId: idOf(domainA, 'agent/host-1'), leafDigest: digestOf(a) };
    const pinB = { ...expectB, leafDigest: digestOf(b) };
    const met = await meet(serverTlsOptions(a), [a, pinB], clientTlsOptions(b, pinA, 'host-1.csp-a.example'));
    expect(met).toEqual({ client: 'hello', server: 'spiffe://csp-b.example/agent/host-1' });
  });

  it.each<[string, ExpectedPeer, string]>([
    ['of another domain', expectB, 'DOMAIN_MISMATCH'],
    ['of another identity', { ...expectA, spiffeId: idOf(domainA, 'broker') }, 'IDENTITY_MISMATCH'],
    ['with another certificate than the pinned one', { ...expectA, leafDigest: digestOf(b) }, 'LEAF_MISMATCH'],
  ])('has the client refuse a server %s', async (_, expected, code) => {
    const met = await meet(serverTlsOptions(a), [a, expectB], clientTlsOptions(b, expected));
    expect(met.client).toBe(code);
  });

  it('has the client refuse a server under another DNS name', async () => {
    const met = await meet(serverTlsOptions(a), [a, expectB], clientTlsOptions(b, expectA, 'host-2.csp-a.example'));
    expect(met.client).toContain('does not match');
  });

  it.each<[string, ExpectedPeer, string]>([
    ['of another domain', expectA, 'DOMAIN_MISMATCH'],
    ['of another identity', { ...expectB, spiffeId: idOf(domainB, 'agent/host-2') }, 'IDENTITY_MISMATCH'],
    ['with another certificate than the pinned one', { ...expectB, leafDigest: digestOf(a) }, 'LEAF_MISMATCH'],
  ])('has the server refuse a client %s, with no byte said', async (_, expected, code) => {
    const met = await meet(serverTlsOptions(a), [a, expected], clientTlsOptions(b, expectA));
    expect(met).toEqual({ client: 'closed', server: code });
  });

  it('has each side refuse a revoked peer', async () => {
    const wary = withRevoked(a, world.b, b);
    expect((await meet(serverTlsOptions(wary), [wary, expectB], clientTlsOptions(b, expectA))).server).toBe('REVOKED');
    const waryClient = withRevoked(b, world.a, a);
    expect((await meet(serverTlsOptions(a), [a, expectB], clientTlsOptions(waryClient, expectA))).client).toBe('REVOKED');
  });

  it('refuses a server that may only be a client', async () => {
    const operator = partyOf(world.a, world.leafKeys, 'operator', [], 'operator');
    const met = await meet(serverTlsOptions(operator), [operator, expectB], clientTlsOptions(b, expectA));
    expect(met.client).not.toBe('hello');
  });

  it('refuses TLS 1.2, whichever side wants it', async () => {
    const old = { minVersion: 'TLSv1.2', maxVersion: 'TLSv1.2' } as const;
    const oldClient = await meet(serverTlsOptions(a), [a, expectB], { ...clientTlsOptions(b, expectA), ...old });
    expect(oldClient.client).toMatch(/^tls: .*protocol/i);
    const oldServer = await meet({ ...serverTlsOptions(a), ...old }, [a, expectB], clientTlsOptions(b, expectA));
    expect(oldServer.client).toMatch(/^tls: .*(protocol|alert)/i);
  });

  it('knows its own intermediate without being told', async () => {
    const { roots, crls } = a.store();
    const untold = { ...a, store: () => ({ roots, crls }) };
    const own = await meet(serverTlsOptions(untold), [untold, expectA], clientTlsOptions(a, expectA));
    expect(own).toEqual({ client: 'hello', server: 'spiffe://csp-a.example/agent/host-1' });
  });

  it('refuses a client without certificate', async () => {
    const { key: _key, cert: _cert, ...nameless } = clientTlsOptions(b, expectA);
    const met = await meet(serverTlsOptions(a), [a, expectB], nameless);
    expect(met.client).not.toBe('hello');
    expect(met.server).not.toContain('spiffe');
  });

  it('serves callers without certificate where tokens decide, under TLS 1.3 only', async () => {
    const server = createServer(tokenServerTlsOptions(a), (socket) => socket.end('hello'));
    server.on('tlsClientError', () => undefined);
    open.push(server);
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    const { key: _key, cert: _cert, ...nameless } = clientTlsOptions(b, expectA);
    expect(await listen({ ...nameless, host: '127.0.0.1', port: portOf(server) })).toBe('hello');
    const old = { minVersion: 'TLSv1.2', maxVersion: 'TLSv1.2' } as const;
    expect(await listen({ ...nameless, ...old, host: '127.0.0.1', port: portOf(server) })).toMatch(/^tls: /);
  });

  it('never runs a request handler of HTTPS for a refused client', async () => {
    let requests = 0;
    const server = createHttpsServer(serverTlsOptions(a), (_, response) => {
      requests++;
      response.end();
    });
    open.push(server);
    guardServer(server, a, expectA, () => undefined);
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    const asked = request({ ...clientTlsOptions(b, expectA), host: '127.0.0.1', port: portOf(server), agent: false });
    asked.end();
    const [error] = await once(asked, 'error').catch((error: unknown) => [error]);
    expect(error).toBeInstanceOf(Error);
    expect(requests).toBe(0);
  });
});

/** A server of A that greets whom it admits, and what it refuses; `judged`: by what it goes on judging. */
async function greeting(judged: TlsMaterial, expected: ExpectedPeer) {
  const server = createServer(serverTlsOptions(a), (socket) => {
    socket.on('error', () => undefined);
    socket.write('hello');
  });
  open.push(server);
  const refused: string[] = [];
  guardServer(server, judged, expected, (refusal) => void refused.push(refusal.code));
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return { server, refused };
}

/** A connection on which the greeting has come. */
async function greeted(party: Party, server: Server) {
  const socket = connect({ ...clientTlsOptions(party, expectA), host: '127.0.0.1', port: portOf(server) });
  socket.on('error', () => undefined);
  await once(socket, 'data');
  return socket;
}

it('a client whose certificate ends while it is connected is cut off, though no list is another', async () => {
  let atMs = nowMs;
  const material = { ...a, now: () => timeAt(atMs) };
  const { server, refused } = await greeting(material, expectB);
  const socket = await greeted(b, server);
  atMs = lifetime.notAfterMs + 1_000;
  await once(socket, 'close');
  expect(refused).toEqual(['EXPIRED']);
}, 15_000);

it('a client is cut off once the list that cleared it has gone stale, though no list is another; until then it stays', async () => {
  let atMs = nowMs;
  const nextUpdateMs = nowMs + 600_000;
  const brief = createCrl(world.b, { number: 2, thisUpdateMs: nowMs - HOUR_MS, nextUpdateMs, revoked: [] });
  const store = { ...a.store(), crls: [...a.store().crls, brief] };
  const material = { ...a, store: () => store, now: () => timeAt(atMs) };
  const { server, refused } = await greeting(material, expectB);
  const socket = await greeted(b, server);
  atMs = nextUpdateMs - 1_000;
  await setTimeout(2 * CRL_RECHECK_MS);
  expect([refused, socket.closed]).toEqual([[], false]);
  atMs = nextUpdateMs + 60_000;
  await once(socket, 'close');
  expect(refused).toEqual(['CRL_STALE']);
}, 15_000);

it('a client that is revoked while it is connected is cut off; another stays', async () => {
  let judge = a;
  const { server, refused } = await greeting({ ...a, store: () => judge.store() }, { trustDomain: domainB });
  const other = partyOf(world.b, world.leafKeys, 'agent/host-2');
  const dial = async (party: Party) => {
    const options = clientTlsOptions({ ...party, store: a.store }, { trustDomain: domainA });
    const socket = connect({ ...options, host: '127.0.0.1', port: portOf(server) });
    socket.on('error', () => undefined);
    await once(socket, 'data');
    return socket;
  };
  const [cut, stays] = [await dial(b), await dial(other)];
  let fate = 'open';
  stays.once('close', () => (fate = 'closed'));
  judge = withRevoked(a, world.b, b);
  const lists = judge.store();
  judge = { ...judge, store: () => lists };
  await once(cut, 'close');
  expect(refused).toEqual(['REVOKED']);
  expect(fate).toBe('open');
  stays.destroy();
}, 15_000);
