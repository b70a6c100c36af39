import { createPrivateKey, X509Certificate } from 'node:crypto';
import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { hostName, spiffeId, trustDomain } from '@carnet/events';
import { afterAll, describe, expect, it } from 'vitest';
import { issueLeaf } from './authority.ts';
import { createFederationPki } from './federation.ts';
import { BACKDATE_MS, DEV_LEAF_MS } from './limits.ts';
import { validatePath } from './path.ts';
import { readPem } from './pem.ts';
import { domainA, domainB, idOf, NOW, NOW_MS, random, testKeys } from './testing/chains.ts';
import { hear, testify } from './testing/example.ts';
import { askOpenSsl } from './testing/openssl.ts';

const dir = mkdtempSync(join(tmpdir(), 'carnet-federation-'));
afterAll(() => rmSync(dir, { recursive: true }));
const host = hostName.parse('host-1');
const domains = [domainA, domainB].map((domain) => ({ domain, hosts: [host] }));
const pki = await createFederationPki({
  dir,
  domains,
  busDomain: trustDomain.parse('bus.example'),
  nowMs: NOW_MS,
  random,
  keys: testKeys(),
});

const read = (...path: readonly string[]) => readFileSync(join(dir, ...path));
const roots = readPem(read('root.pem').toString(), 'CERTIFICATE');
const crls = readdirSync(join(dir, 'crls')).map((name) => Uint8Array.from(read('crls', name)));
const chainIn = (file: string) => readPem(read(file).toString(), 'CERTIFICATE');
const base64 = (der: Uint8Array) => Buffer.from(der).toString('base64');
const folders = ['bus', domainA, domainB];
const leaves = folders.flatMap((folder) =>
  readdirSync(join(dir, folder))
    .filter((name) => name.endsWith('.key'))
    .map((name) => join(folder, name.slice(0, -'.key'.length))),
);

describe('createFederationPki', () => {
  it('writes one leaf for each role, and CRLs for each issuer', () => {
    expect(leaves.filter((leaf) => leaf.startsWith(domainA)).map((leaf) => leaf.slice(domainA.length + 1))).toEqual([
      'agent-host-1',
      'auditor',
      'broker',
      'operator',
      'scheduler',
      'server',
    ]);
    expect(readdirSync(join(dir, 'crls')).sort()).toEqual([
      'bus.example.der',
      'csp-a.example.der',
      'csp-b.example.der',
      'root.der',
    ]);
    expect(pki.members.get(domainA)?.leaves.get('broker')?.spiffeId).toBe('spiffe://csp-a.example/broker');
  });

  it.each(leaves)('%s is good, by us and by OpenSSL, and its key is private', (leaf) => {
    const chain = chainIn(`${leaf}.pem`);
    const purpose = /operator|scheduler|auditor/.test(leaf) ? 'clientAuth' : 'serverAuth';
    expect(validatePath({ chain: chain.map(base64), roots, crls, at: NOW, purpose })).toMatchObject({ ok: true });
    const asked = { chain, roots, crls, atMs: NOW_MS, purpose: purpose === 'clientAuth' ? 'sslclient' : 'sslserver' } as const;
    expect(askOpenSsl(asked)).toBe('OK');
    expect(new X509Certificate(chain[0] ?? new Uint8Array()).checkPrivateKey(createPrivateKey(read(`${leaf}.key`)))).toBe(true);
    expect(statSync(join(dir, `${leaf}.key`)).mode & 0o777).toBe(0o600);
  });

  it('gives every key once', () => {
    expect(new Set(leaves.map((leaf) => read(`${leaf}.key`).toString())).size).toBe(leaves.length);
  });

  it('has serial numbers of 128 bits, all different', () => {
    const serials = leaves.map((leaf) => new X509Certificate(chainIn(`${leaf}.pem`)[0] ?? new Uint8Array()).serialNumber);
    expect(new Set(serials).size).toBe(leaves.length);
    expect(serials.every((serial) => serial.length === 32)).toBe(true);
  });
});

describe('issueLeaf', () => {
  const authority = pki.members.get(domainA)?.authority ?? pki.root;
  const wanted = {
    profile: 'broker',
    dnsNames: [],
    publicKey: pki.root.keys.publicKey,
    random,
    notBeforeMs: NOW_MS - BACKDATE_MS,
    notAfterMs: NOW_MS + DEV_LEAF_MS,
  } as const;

  it('refuses what peers would refuse', () => {
    expect(() => issueLeaf(authority, { ...wanted, spiffeId: idOf('csp-b.example') })).toThrow('OUTSIDE_DOMAIN');
    expect(() => issueLeaf(authority, { ...wanted, spiffeId: idOf('csp-a.example'), dnsNames: ['evilcsp-a.example'] })).toThrow(
      'OUTSIDE_DOMAIN',
    );
    expect(() => issueLeaf(pki.root, { ...wanted, spiffeId: idOf('csp-a.example') })).toThrow('OUTSIDE_DOMAIN');
    const late = { ...wanted, notAfterMs: authority.notAfterMs + 1 };
    expect(() => issueLeaf(authority, { ...late, spiffeId: idOf('csp-a.example') })).toThrow('OUTLIVES_ISSUER');
  });

  it('fits a long identity into a common name of 64 characters', () => {
    const path = `agent/${'x'.repeat(60)}`;
    const leaf = issueLeaf(authority, { ...wanted, spiffeId: spiffeId.parse(`spiffe://csp-a.example/${path}`) });
    const result = validatePath({ chain: leaf.chain, roots, crls, at: NOW });
    expect(result).toMatchObject({ ok: true, value: { spiffeId: `spiffe://csp-a.example/${path}` } });
  });
});

describe('the example of the README', () => {
  it('is the code that runs here', () => {
    const [, example] = /```ts\n([\s\S]*?)```/.exec(readFileSync(join(import.meta.dirname, '../README.md'), 'utf8')) ?? [];
    expect(example).toBe(readFileSync(join(import.meta.dirname, 'testing/example.ts'), 'utf8'));
  });

  it('hears the peer, and nobody else', () => {
    const type = 'application/vnd.carnet.evidence.v1+json';
    const chain = chainIn(join(domainB, 'agent-host-1.pem'));
    const said = testify(type, Buffer.from('{}'), read(domainB, 'agent-host-1.key').toString(), chain[0] ?? new Uint8Array());
    const trust = { roots, crls };
    const now = new Date(NOW_MS);
    expect(hear(said, type, chain.map(base64), { trustDomain: domainB }, trust, now)).toMatchObject({ ok: true });
    expect(hear(said, type, chain.map(base64), { trustDomain: domainA }, trust, now)).toMatchObject({ code: 'DOMAIN_MISMATCH' });
    const other = chainIn(join(domainB, 'broker.pem')).map(base64);
    expect(hear(said, type, other, { trustDomain: domainB }, trust, now)).toMatchObject({ code: 'SIGNER_UNKNOWN' });
  });
});
