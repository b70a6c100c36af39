import { copyFileSync, existsSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { readCertificate } from '../certificate.ts';
import { readCrl } from '../crl.ts';
import { validatePath } from '../path.ts';
import { readPem, writePem } from '../pem.ts';
import { createRequest, readRequest, readRequestPem } from '../request.ts';
import type { RsaKeyPair } from '../rsa-keys.ts';
import { base64, domainA, domainB, HOUR_MS, idOf, NOW, NOW_MS } from '../testing/chains.ts';
import { CONSTRAINTS, externalCa, openssl, type SigningProfile } from '../testing/external-ca.ts';
import { authorityGround } from '../testing/offices.ts';
import { askOpenSsl } from '../testing/openssl.ts';
import { acceptIssuer } from './accept-issuer.ts';
import { alone, authorityPaths, openAuthority } from './authority-files.ts';
import { signIssuer, signLeaf } from './issue.ts';
import { readRegister } from './register.ts';
import { makeCrl, revokeCertificate } from './revoke.ts';

const DAY_MS = 24 * HOUR_MS;
const ground = authorityGround();
afterAll(() => rmSync(ground.dir, { recursive: true }));

const root = await ground.makeRoot();
const requestA = await ground.makeIssuer(domainA);
const rootPem = writePem('CERTIFICATE', root);
const [first, second] = [await ground.keys(), await ground.keys()];

const must = <T>(checked: { readonly ok: true; readonly value: T } | { readonly ok: false; readonly code: string }): T => {
  if (checked.ok) return checked.value;
  throw new Error(checked.code);
};
const issuerA = signIssuer(ground.office('root'), must(readRequestPem(requestA)), { domain: domainA, lifeMs: 730 * DAY_MS });
const accepted = acceptIssuer(join(ground.dir, domainA), {
  certificatePem: writePem('CERTIFICATE', issuerA),
  rootPem,
  nowMs: NOW_MS,
});
const rootCrl = makeCrl(ground.office('root'), 30 * DAY_MS);

const brokerWish = {
  profile: 'broker',
  spiffeId: idOf(domainA),
  dnsNames: ['broker.csp-a.example'],
  lifeMs: 30 * DAY_MS,
} as const;
const requestOf = (keys: RsaKeyPair, spiffeId = idOf(domainA), dnsNames: readonly string[] = ['broker.csp-a.example']) =>
  must(readRequest(createRequest(keys, { commonName: 'x', spiffeId, dnsNames })));
const verdictsOn = (chain: readonly Uint8Array[], crls: readonly Uint8Array[], roots: readonly Uint8Array[] = [root]) => ({
  ours: validatePath({ chain: chain.map(base64), roots, crls, at: NOW, purpose: 'clientAuth' }),
  openssl: askOpenSsl({ chain, roots, crls, atMs: NOW_MS, purpose: 'sslclient' }),
});
const registerText = (): string => readFileSync(join(ground.dir, domainA, 'register.ndjson'), 'utf8');

describe('root, issuing authority, leaf', () => {
  it('is a chain for us and for OpenSSL; every certificate is in a register', () => {
    expect(accepted).toMatchObject({ ok: true });
    const office = ground.office(domainA);
    const leaf = must(signLeaf(office, requestOf(first), brokerWish));
    const { ours, openssl: theirs } = verdictsOn([leaf.certificate, issuerA], [rootCrl, makeCrl(office, 7 * DAY_MS)]);
    expect(ours).toMatchObject({ ok: true, value: { spiffeId: 'spiffe://csp-a.example/broker' } });
    expect(theirs).toBe('OK');
    const line = readRegister(office.dir).issued.at(-1);
    const read = must(readCertificate(leaf.certificate));
    expect(line).toMatchObject({ serial: read.serial, digest: read.digest, what: { profile: 'broker' }, lifeMs: 30 * DAY_MS });
    expect(readRegister(join(ground.dir, 'root')).issued).toMatchObject([{ what: { profile: 'issuer', domain: domainA } }]);
  });

  it('the key opens with its passphrase only, and OpenSSL can read it', () => {
    const { key } = authorityPaths(join(ground.dir, domainA));
    expect(statSync(key).mode & 0o777).toBe(0o600);
    expect(openssl('pkey', '-in', key, '-passin', `file:${ground.passphraseFile}`, '-noout', '-text')).toContain('3072 bit');
    const wrong = join(ground.dir, 'wrong');
    writeFileSync(wrong, 'x'.repeat(30), { mode: 0o600 });
    expect(() => openAuthority(join(ground.dir, domainA), wrong)).toThrow('PASSPHRASE_WRONG');
    writeFileSync(wrong, 'short');
    expect(() => openAuthority(join(ground.dir, domainA), wrong)).toThrow('PASSPHRASE_SHORT');
    const open = join(ground.dir, 'open');
    writeFileSync(open, 'x'.repeat(30), { mode: 0o644 });
    expect(() => openAuthority(join(ground.dir, domainA), open)).toThrow('KEY_EXPOSED');
  });

  it('nothing is made twice, and nothing signs before its request was signed', async () => {
    await expect(ground.makeRoot()).rejects.toThrow('AUTHORITY_EXISTS');
    await ground.makeIssuer(domainB, 'unsigned');
    expect(() => ground.office('unsigned')).toThrow('AUTHORITY_INCOMPLETE');
    expect(() => ground.office('nowhere')).toThrow('AUTHORITY_INCOMPLETE');
  });

  it('each signs its own kind only', () => {
    const request = requestOf(first);
    const lives = { domain: domainA, lifeMs: DAY_MS };
    expect(() => signIssuer(ground.office(domainA), request, lives)).toThrow('OUTSIDE_DOMAIN');
    expect(() => signIssuer(ground.office('root'), request, { ...lives, lifeMs: 10_000 * DAY_MS })).toThrow('OUTLIVES_ISSUER');
    expect(signLeaf(ground.office('root'), request, brokerWish)).toMatchObject({ code: 'NAME_NOT_PERMITTED' });
  });

  it('one process at a time; what a crash left behind holds nobody up', () => {
    const dir = join(ground.dir, domainA);
    alone(dir, () => expect(() => alone(dir, () => undefined)).toThrow('AUTHORITY_BUSY'));
    writeFileSync(authorityPaths(dir).lock, '999999999');
    expect(alone(dir, () => 'in')).toBe('in');
  });
});

describe('a request', () => {
  const office = () => ground.office(domainA);
  it.each([
    ['another CSP’s identity', requestOf(first, idOf(domainB)), brokerWish, 'CSR_NAME_MISMATCH'],
    ['another role of the same CSP', requestOf(first, idOf(domainA, 'operator'), []), brokerWish, 'CSR_NAME_MISMATCH'],
    ['one DNS name more', requestOf(first, idOf(domainA), ['console.csp-a.example']), brokerWish, 'CSR_NAME_MISMATCH'],
    ['nothing, signed for another CSP', requestOf(first), { ...brokerWish, spiffeId: idOf(domainB) }, 'NAME_NOT_PERMITTED'],
    ['a foreign DNS name', requestOf(first), { ...brokerWish, dnsNames: ['evilcsp-a.example'] }, 'NAME_NOT_PERMITTED'],
    [
      'to be an agent under the profile of a broker',
      requestOf(first),
      { ...brokerWish, spiffeId: idOf(domainA, 'agent/h1') },
      'PROFILE_MISMATCH',
    ],
    ['to be the broker under another profile', requestOf(first), { ...brokerWish, profile: 'operator' }, 'PROFILE_MISMATCH'],
  ] as const)('for %s is refused, and nothing is recorded', (_, request, wish, code) => {
    const before = registerText();
    expect(signLeaf(office(), request, wish)).toMatchObject({ ok: false, code });
    expect(registerText()).toBe(before);
  });

  it('that wants to be an authority gets a leaf: extensions are never copied', () => {
    const csr = join(ground.dir, 'hostile.csr');
    const wishes = [
      'basicConstraints=critical,CA:true',
      'keyUsage=critical,keyCertSign,cRLSign',
      'nameConstraints=permitted;DNS:x',
    ];
    const asked = wishes.flatMap((wish) => ['-addext', wish]);
    openssl('req', '-new', '-newkey', 'rsa:3072', '-nodes', '-keyout', `${csr}.key`, '-subj', '/CN=root', '-out', csr, ...asked);
    const leaf = must(signLeaf(office(), must(readRequestPem(readFileSync(csr, 'utf8'))), brokerWish));
    writeFileSync(`${csr}.pem`, leaf.pem);
    const text = openssl('x509', '-in', `${csr}.pem`, '-noout', '-text');
    expect(text).toContain('CA:FALSE');
    expect(text).not.toMatch(/Certificate Sign|CRL Sign|Name Constraints|CN ?= ?root/);
  });
});

describe('an external CA', () => {
  const ca = externalCa(ground.dir);
  const good: SigningProfile = { nameConstraints: { prefix: 'critical,', names: CONSTRAINTS(domainB) } };
  // OpenSSL dates by the machine's clock: of now, and not of when these helpers were loaded.
  const take = (certificatePem: string, nowMs = Date.now()) =>
    acceptIssuer(join(ground.dir, 'external'), { certificatePem, rootPem: ca.rootPem, nowMs: nowMs + 60_000 });
  const made = ground.makeIssuer(domainB, 'external');
  const names = (changed: readonly string[], prefix = 'critical,'): SigningProfile => ({
    nameConstraints: { prefix, names: changed },
  });
  const [uri, uris, dns, ...ips] = CONSTRAINTS(domainB);
  const all = (...more: readonly string[]) => [uri ?? '', uris ?? '', dns ?? '', ...ips, ...more];

  it.each<[string, SigningProfile, string]>([
    ['sets no name constraints', {}, 'NAMES_UNCONSTRAINED'],
    ['sets them without making them critical', names(all(), ''), 'CONSTRAINTS_WRONG'],
    ['binds to another domain', names(CONSTRAINTS(domainA)), 'CONSTRAINTS_WRONG'],
    ['permits one domain more', names(all('permitted;DNS.1=csp-a.example')), 'CONSTRAINTS_WRONG'],
    ['permits everything below .example', names(all('permitted;URI.2=.example')), 'CONSTRAINTS_WRONG'],
    ['forgets URIs', names([dns ?? '', ...ips]), 'CONSTRAINTS_WRONG'],
    ['leaves addresses free', names([uri ?? '', uris ?? '', dns ?? '']), 'CONSTRAINTS_WRONG'],
    ['makes no authority of it', { ...good, basicConstraints: 'critical,CA:false' }, 'NOT_A_CA'],
    ['allows authorities below', { ...good, basicConstraints: 'critical,CA:true' }, 'PATH_TOO_LONG'],
    ['gives no leave for revocation lists', { ...good, keyUsage: 'critical,keyCertSign' }, 'USAGE_MISMATCH'],
    ['renames it', { ...good, subject: '/O=Somebody else/CN=A subordinate' }, 'ISSUER_NAME_CHANGED'],
    ['gives it a name of its own', { ...good, more: ['subjectAltName=DNS:csp-b.example'] }, 'NAME_NOT_PERMITTED'],
  ])('that %s is refused: %s', async (_, profile, code) => {
    expect(take(ca.sign(await made, profile))).toMatchObject({ ok: false, code });
    expect(existsSync(authorityPaths(join(ground.dir, 'external')).certificate)).toBe(false);
  });

  it('that signed another request, or another CA, is refused', async () => {
    const other = await ground.makeIssuer(domainB, 'another');
    expect(take(ca.sign(other, good))).toMatchObject({ code: 'ISSUER_KEY_MISMATCH' });
    const stranger = { certificatePem: ca.sign(await made, good), rootPem, nowMs: NOW_MS };
    expect(acceptIssuer(join(ground.dir, 'external'), stranger)).toMatchObject({ code: 'ROOT_UNKNOWN' });
    expect(take(ca.sign(await made, good), NOW_MS + 40 * DAY_MS)).toMatchObject({ code: 'EXPIRED' });
  });

  it('that set them is as good as our own root: what the issuer signs holds for us and for OpenSSL', async () => {
    const pem = ca.sign(await made, good);
    expect(take(pem)).toMatchObject({ ok: true });
    // OpenSSL dates its certificates now: some seconds after this test's clock.
    const nowMs = Date.now() + 1_000;
    const office = ground.office('external', () => nowMs);
    const wish = { ...brokerWish, spiffeId: idOf(domainB), dnsNames: [], lifeMs: 3 * DAY_MS };
    const leaf = must(signLeaf(office, requestOf(second, idOf(domainB), []), wish));
    const chain = [leaf.certificate, readPem(pem, 'CERTIFICATE')[0] ?? new Uint8Array()];
    const roots = readPem(ca.rootPem, 'CERTIFICATE');
    const crls = [ca.crl(), makeCrl(office, DAY_MS)];
    const at = new Date(nowMs + 1_000);
    const question = {
      chain: chain.map(base64),
      roots,
      crls,
      at: at.toISOString() as typeof NOW,
      purpose: 'clientAuth',
    } as const;
    expect(validatePath(question)).toMatchObject({ ok: true, value: { domain: domainB } });
    expect(askOpenSsl({ chain, roots, crls, atMs: at.getTime(), purpose: 'sslclient' })).toBe('OK');
  });
});

describe('revocation', () => {
  it('is in the next list, for OpenSSL too; unknown and repeated serials are refused', () => {
    const office = ground.office(domainA);
    const leaf = must(signLeaf(office, requestOf(second), brokerWish));
    const { serial } = must(readCertificate(leaf.certificate));
    const chain = [leaf.certificate, issuerA];
    expect(verdictsOn(chain, [rootCrl, makeCrl(office, DAY_MS)]).openssl).toBe('OK');
    const crl = must(revokeCertificate(office, { serial, reason: 'keyCompromise', reach: 'line', crlMs: DAY_MS }));
    const { ours, openssl: theirs } = verdictsOn(chain, [rootCrl, crl]);
    expect(ours).toMatchObject({ code: 'REVOKED' });
    expect(theirs).toBe('certificate revoked');
    const said = openssl('crl', '-in', authorityPaths(office.dir).crl, '-inform', 'DER', '-noout', '-text');
    expect(said).toContain(serial.toUpperCase());
    expect(said).toContain('Key Compromise');
    const before = registerText();
    const revoke = (one: string) =>
      revokeCertificate(office, { serial: one, reason: 'superseded', reach: 'line', crlMs: DAY_MS });
    expect(revoke('abc')).toMatchObject({ code: 'CERTIFICATE_UNKNOWN' });
    expect(registerText()).toBe(before);
    expect(revoke(serial)).toMatchObject({ code: 'ALREADY_REVOKED' });
    expect(registerText().slice(before.length)).toMatch(/^\{"kind":"crl".*\}\n$/);
    expect(readRegister(office.dir).revoked.get(serial)?.reason).toBe('keyCompromise');
  });

  it('numbers only grow, where the directory came back from a backup too', () => {
    const office = ground.office(domainA);
    const numberOf = (der: Uint8Array): bigint => must(readCrl(der)).number;
    const backup = join(ground.dir, 'backup.ndjson');
    const register = join(office.dir, 'register.ndjson');
    const numbers = [numberOf(makeCrl(office, DAY_MS))];
    copyFileSync(register, backup);
    for (let i = 0; i < 5; i += 1) numbers.push(numberOf(makeCrl(office, DAY_MS)));
    copyFileSync(backup, register);
    numbers.push(numberOf(makeCrl(office, DAY_MS)));
    copyFileSync(backup, register);
    rmSync(authorityPaths(office.dir).crl);
    numbers.push(
      numberOf(
        makeCrl(
          ground.office(domainA, () => NOW_MS + 60_000),
          DAY_MS,
        ),
      ),
    );
    expect(numbers).toEqual(numbers.toSorted((a, b) => Number(a - b)));
    expect(new Set(numbers).size).toBe(numbers.length);
    const shown = openssl('crl', '-in', authorityPaths(office.dir).crl, '-inform', 'DER', '-noout', '-crlnumber');
    expect(BigInt(/0x([0-9A-F]+)/i.exec(shown)?.[0] ?? 0)).toBe(numbers.at(-1));
  });

  it('a register that cannot be read issues nothing', () => {
    const office = ground.office(domainA);
    const register = join(office.dir, 'register.ndjson');
    const whole = registerText();
    writeFileSync(register, whole.replace('"issued"', '"issue"'));
    expect(() => makeCrl(office, DAY_MS)).toThrow('REGISTER_BROKEN');
    expect(() => signLeaf(office, requestOf(first), brokerWish)).toThrow('REGISTER_BROKEN');
    expect(readFileSync(register, 'utf8')).toBe(whole.replace('"issued"', '"issue"'));
    writeFileSync(register, whole);
  });

  it('a last line that a crash tore was acknowledged to nobody, and makes room', () => {
    const office = ground.office(domainA);
    const register = join(office.dir, 'register.ndjson');
    const whole = registerText();
    // In the middle of a character, too.
    writeFileSync(register, Buffer.concat([Buffer.from(`${whole}{"kind":"issu`), Buffer.of(0xc3)]));
    const leaf = must(signLeaf(office, requestOf(first), brokerWish));
    expect(registerText().startsWith(`${whole}{"kind":"issued"`)).toBe(true);
    expect(readRegister(office.dir).issued.at(-1)?.serial).toBe(must(readCertificate(leaf.certificate)).serial);
  });
});
