import { once } from 'node:events';
import { connect, createServer } from 'node:tls';
import { digest } from '@carnet/events';
import { afterAll, expect, it } from 'vitest';
import { type Authority, createIntermediate, issueLeaf } from './authority.ts';
import { readCertificate } from './certificate.ts';
import { PeerRefused } from './error.ts';
import { type Introducing, introducingTlsOptions, shownLeaf } from './introducing.ts';
import { validatePath } from './path.ts';
import type { LeafProfile } from './profiles.ts';
import { privateKeyPem, type RsaKeyPair } from './rsa-keys.ts';
import { base64, createWorld, crlOf, domainA, domainB, HOUR_MS, idOf, NOW, random, testKeys, timeAt } from './testing/chains.ts';
import { serverTlsOptions, type TlsMaterial } from './tls.ts';

const world = await createWorld();
// OpenSSL's own check inside the handshake uses the machine's clock.
const nowMs = Date.now();
const lifetime = { notBeforeMs: nowMs - HOUR_MS, notAfterMs: Math.min(nowMs + HOUR_MS, world.a.notAfterMs) };
const digestOf = (der: Uint8Array) => {
  const read = readCertificate(der);
  if (!read.ok) throw new Error(read.text);
  return read.value.digest;
};
type Party = TlsMaterial & { readonly leaf: Uint8Array };
function partyOf(issuer: Authority, keys: RsaKeyPair, path = 'broker', profile: LeafProfile = 'broker'): Party {
  const spiffeId = idOf(issuer.domain ?? domainA, path);
  const leaf = issueLeaf(issuer, { ...lifetime, profile, spiffeId, dnsNames: [], publicKey: keys.publicKey, random });
  const store = { roots: [world.root.certificate], crls: [crlOf(world.root)] };
  return {
    leaf: leaf.certificate,
    keyPem: privateKeyPem(keys.privateKey),
    chainPem: leaf.pem,
    store: () => store,
    now: () => timeAt(nowMs),
  };
}
const b = partyOf(world.b, world.otherKeys);
const servers: ReturnType<typeof createServer>[] = [];
afterAll(() => {
  for (const server of servers) server.close();
});

/** B meets a server for the first time, and hears it or refuses it. */
async function meet(server: TlsMaterial, expected: Introducing): Promise<{ readonly heard: string; readonly leaf?: string }> {
  const listening = createServer(serverTlsOptions(server), (socket) => {
    socket.on('error', () => undefined);
    socket.end('hello');
  });
  servers.push(listening);
  listening.listen(0, '127.0.0.1');
  await once(listening, 'listening');
  const address = listening.address();
  const port = typeof address === 'object' && address !== null ? address.port : 0;
  return new Promise((resolve) => {
    const socket = connect({ ...introducingTlsOptions(b, expected), host: '127.0.0.1', port });
    let leaf: string | undefined;
    socket.once('secureConnect', () => {
      leaf = shownLeaf(socket);
    });
    socket.once('data', (said) => resolve({ heard: said.toString(), ...(leaf === undefined ? {} : { leaf }) }));
    socket.once('error', (error) => resolve({ heard: error instanceof PeerRefused ? error.code : `tls: ${error.message}` }));
  });
}

const expected: Introducing = { domain: domainA, issuer: digestOf(world.a.certificate) };
const a = partyOf(world.a, world.leafKeys);

it('meets the broker of that domain under that very authority, though its revocation list is not here; what is shown is the leaf', async () => {
  expect(await meet(a, expected)).toEqual({ heard: 'hello', leaf: base64(a.leaf) });
  expect(shownLeaf({})).toBeUndefined();
});

it('refuses another authority of the same name, another domain, and a leaf that is no broker', async () => {
  const keys = await testKeys()();
  // The root was talked into signing a second authority for A: every path is good, only the pin tells.
  const impostor = createIntermediate(world.root, { ...lifetime, domain: domainA, keys, random });
  expect((await meet(partyOf(impostor, world.leafKeys), expected)).heard).toBe('ISSUER_NOT_PINNED');
  const spoken = partyOf(impostor, world.leafKeys);
  // The pinned authority shown beside the impostor's leaf: Node links the two by name, the signature says no.
  const beside = { ...spoken, chainPem: [spoken.chainPem, a.chainPem.slice(a.chainPem.lastIndexOf('-----BEGIN'))].join('') };
  expect((await meet(beside, expected)).heard).not.toBe('hello');
  expect((await meet(a, { ...expected, domain: domainB })).heard).toBe('DOMAIN_MISMATCH');
  expect((await meet(a, { ...expected, issuer: digest.parse('0'.repeat(64)) })).heard).toBe('ISSUER_NOT_PINNED');
  expect((await meet(partyOf(world.a, world.leafKeys, 'agent/h1', 'agent'), expected)).heard).toBe('IDENTITY_MISMATCH');
});

it('an authority that was confirmed for a domain is the only one that speaks for it, for whoever asks', () => {
  const question = {
    roots: [world.root.certificate],
    crls: [crlOf(world.root), crlOf(world.a)],
    chain: [base64(a.leaf), base64(world.a.certificate)],
    at: NOW,
    trustDomain: domainA,
  };
  const codeOf = (issuers: ReadonlyMap<typeof domainA, typeof expected.issuer>) => {
    const path = validatePath({ ...question, at: timeAt(nowMs), issuers });
    return path.ok ? 'ok' : path.code;
  };
  expect(codeOf(new Map([[domainA, expected.issuer]]))).toBe('ok');
  expect(codeOf(new Map([[domainB, digestOf(world.b.certificate)]]))).toBe('ok');
  expect(codeOf(new Map([[domainA, digestOf(world.b.certificate)]]))).toBe('ISSUER_NOT_PINNED');
});
