import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { readPem, writePem } from './pem.ts';
import { createRequest, readRequest, readRequestPem } from './request.ts';
import { domainA, idOf, testKeys, weakKeys } from './testing/chains.ts';
import { openssl } from './testing/external-ca.ts';

const dir = mkdtempSync(join(tmpdir(), 'carnet-csr-'));
afterAll(() => rmSync(dir, { recursive: true }));
const source = testKeys();
const [keys, others] = [await source(), await source()];
const names = { commonName: 'a broker', spiffeId: idOf(domainA), dnsNames: ['broker.csp-a.example'] };
const ours = createRequest(keys, names);
const file = (name: string, text: string): string => {
  writeFileSync(join(dir, name), text);
  return join(dir, name);
};

/** A request that OpenSSL makes. */
function theirs(key: readonly string[], ...more: readonly string[]): string {
  const out = join(dir, 'theirs.csr');
  openssl('req', '-new', ...key, '-nodes', '-keyout', join(dir, 'theirs.key'), '-subj', '/CN=x', '-out', out, ...more);
  return readFileSync(out, 'utf8');
}
const RSA = ['-newkey', 'rsa:3072'];

describe('a request of ours', () => {
  it('is one for OpenSSL: proof of possession and names', () => {
    const said = openssl('req', '-in', file('ours.csr', writePem('CERTIFICATE REQUEST', ours)), '-noout', '-verify', '-text');
    expect(said).toContain('URI:spiffe://csp-a.example/broker, DNS:broker.csp-a.example');
  });

  it('is read again', () => {
    const read = readRequest(ours);
    expect(read).toMatchObject({
      ok: true,
      value: {
        names: [
          { kind: 'uri', text: 'spiffe://csp-a.example/broker' },
          { kind: 'dns', text: 'broker.csp-a.example' },
        ],
      },
    });
    expect(read.ok && read.value.publicKey.equals(keys.publicKey)).toBe(true);
  });
});

describe('a hostile request', () => {
  it('OpenSSL’s is read, and only its names count', () => {
    const text = theirs(
      RSA,
      '-addext',
      'basicConstraints=critical,CA:true',
      '-addext',
      'subjectAltName=URI:spiffe://csp-b.example/broker',
    );
    expect(readRequestPem(text)).toMatchObject({
      ok: true,
      value: { names: [{ kind: 'uri', text: 'spiffe://csp-b.example/broker' }] },
    });
  });

  it('for somebody else’s key is no proof of possession', () => {
    // The same request, with another public key put in: signed by the old one.
    const spki = keys.publicKey.export({ format: 'der', type: 'spki' });
    const stolen = others.publicKey.export({ format: 'der', type: 'spki' });
    const at = Buffer.from(ours).indexOf(spki);
    expect(at).toBeGreaterThan(0);
    const forged = Buffer.concat([ours.subarray(0, at), stolen, ours.subarray(at + spki.length)]);
    expect(readRequest(forged)).toMatchObject({ code: 'CSR_SIGNATURE_INVALID' });
  });

  it.each([
    ['Ed25519', 'KEY_WEAK', () => theirs(['-newkey', 'ed25519'])],
    ['P-256', 'KEY_WEAK', () => theirs(['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256'])],
    ['RSA-2048', 'KEY_WEAK', () => theirs(['-newkey', 'rsa:2048'])],
    ['SHA-1', 'ALGORITHM_WEAK', () => theirs(RSA, '-sha1')],
  ])('under %s is %s', (_, code, make) => {
    expect(readRequestPem(make())).toMatchObject({ ok: false, code });
  });

  it('that is cut, too long, or two at once', () => {
    const der = readPem(theirs(RSA, '-addext', 'subjectAltName=DNS:a.example'), 'CERTIFICATE REQUEST')[0] ?? new Uint8Array();
    for (const broken of [der.subarray(0, -1), Buffer.concat([der, Buffer.of(0)]), new Uint8Array(20_000), new Uint8Array()])
      expect(readRequest(broken)).toMatchObject({ code: 'CSR_MALFORMED' });
    const twice = writePem('CERTIFICATE REQUEST', der).repeat(2);
    expect(readRequestPem(twice)).toMatchObject({ code: 'CSR_MALFORMED' });
    expect(readRequestPem('nothing')).toMatchObject({ code: 'CSR_MALFORMED' });
  });

  it('any bit changed is refused, and nothing throws', () => {
    for (let i = 0; i < ours.length; i += 7) {
      const changed = Buffer.from(ours);
      changed[i] = (changed[i] ?? 0) ^ 0x01;
      expect(readRequest(changed).ok, `byte ${i}`).toBe(false);
    }
  });

  it('our own with a weak key', () => {
    expect(readRequest(createRequest(weakKeys(2_048), names))).toMatchObject({ code: 'KEY_WEAK' });
  });
});
