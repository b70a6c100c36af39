import { existsSync, mkdirSync, readFileSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { accept, type Checked } from '@carnet/trust';
import { afterAll, beforeEach, describe, expect, it, vi } from 'vitest';
import { createCrl } from '../build-crl.ts';
import { readCertificate } from '../certificate.ts';
import type { PkiCode } from '../codes.ts';
import { readCrl } from '../crl.ts';
import { subjectNames } from '../extension-fields.ts';
import { acceptIssuer } from '../issuing/accept-issuer.ts';
import { signIssuer, signLeaf } from '../issuing/issue.ts';
import { readRegister } from '../issuing/register.ts';
import { makeCrl, revokeCertificate } from '../issuing/revoke.ts';
import { loadLeaf } from '../leaf-files.ts';
import type { TrustStore } from '../path.ts';
import { writePem } from '../pem.ts';
import { createRequest, readRequest, readRequestPem } from '../request.ts';
import { freshRsaKeys, privateKeyPem } from '../rsa-keys.ts';
import { certify, domainA, domainB, HOUR_MS, idOf, timeAt } from '../testing/chains.ts';
import { openssl } from '../testing/external-ca.ts';
import { authorityGround } from '../testing/offices.ts';
import { estIssuer } from './ask-issuer.ts';
import { readCertsOnly, writeCertsOnly } from './certs-only.ts';
import { keepCrl } from './crl-file.ts';
import { askRevocation, fetchCrl } from './issuer-client.ts';
import { issuingServiceId } from './issuer-paths.ts';
import { filesBefore, replacePair } from './leaf-pair.ts';
import { openLeaf } from './live-leaf.ts';
import { renew } from './renew.ts';
import { renewFor, serveRenewals } from './serve-renewals.ts';
import { tendLeaf } from './tend-leaf.ts';
import { tlsOf } from './tls-of.ts';

const ground = authorityGround();
afterAll(() => rmSync(ground.dir, { recursive: true }));
const must = <T>(checked: Checked<T, PkiCode>): T => {
  if (checked.ok) return checked.value;
  throw new Error(`${checked.code}: ${checked.text}`);
};

// Real connections judge by the machine's clock, and so does this file.
const nowMs = (): number => Date.now();
const now = () => timeAt(nowMs());
const root = await ground.makeRoot();
for (const domain of [domainA, domainB]) {
  const request = must(readRequestPem(await ground.makeIssuer(domain)));
  const certificate = signIssuer(ground.office('root', nowMs), request, { domain, lifeMs: 24 * HOUR_MS });
  const given = { certificatePem: writePem('CERTIFICATE', certificate), rootPem: writePem('CERTIFICATE', root), nowMs: nowMs() };
  must(acceptIssuer(join(ground.dir, domain), given));
}
const [a, b] = [ground.office(domainA, nowMs), ground.office(domainB, nowMs)];
const [rootCrl, crlB] = [makeCrl(ground.office('root', nowMs), HOUR_MS), makeCrl(b, HOUR_MS)];
let crls = [rootCrl, crlB, makeCrl(a, HOUR_MS)];
const store = (): TrustStore => ({ roots: [root], crls });

let count = 0;
/** Issued so long ago that it may be renewed. */
const AGE_MS = (HOUR_MS * 2) / 3;
/** A leaf of A in files of its own. */
async function leafFiles(spiffeId = idOf(domainA), profile: 'broker' | 'server' | 'operator' = 'broker', ageMs = AGE_MS) {
  const dir = join(ground.dir, `leaf-${count++}`);
  mkdirSync(dir);
  const files = { certificateFile: join(dir, 'leaf.pem'), keyFile: join(dir, 'leaf.key') };
  const keys = await ground.keys();
  const request = must(readRequest(createRequest(keys, { commonName: 'x', spiffeId })));
  const { pem } = must(
    signLeaf({ ...a, nowMs: () => nowMs() - ageMs }, request, { profile, spiffeId, dnsNames: [], lifeMs: HOUR_MS }),
  );
  writeFileSync(files.certificateFile, pem);
  writeFileSync(files.keyFile, privateKeyPem(keys.privateKey), { mode: 0o600 });
  return files;
}
const materialOf = (files: Awaited<ReturnType<typeof leafFiles>>) => {
  const leaf = openLeaf(files, nowMs);
  return { leaf, tls: tlsOf(leaf, store, now) };
};
const heldBy = ({ chain }: { readonly chain: readonly string[] }): Uint8Array =>
  Uint8Array.from(Buffer.from(chain[0] ?? '', 'base64'));

describe('over EST', async () => {
  const told: unknown[] = [];
  const server = materialOf(await leafFiles(issuingServiceId(domainA), 'server'));
  const listen = { address: '127.0.0.1', port: 0 };
  const service = await serveRenewals({
    office: a,
    crlMs: HOUR_MS,
    domain: domainA,
    tls: server.tls,
    listen,
    told: (what) => void told.push(what),
  });
  afterAll(() => service.close());
  const url = `https://127.0.0.1:${service.port}`;
  beforeEach(() => void told.splice(0));
  const portsFor = (files: Awaited<ReturnType<typeof leafFiles>>) => {
    const { leaf, tls } = materialOf(files);
    return {
      leaf,
      ports: {
        files,
        leaf: leaf.current,
        ask: estIssuer({ url: url, domain: domainA, material: tls }),
        store,
        now,
        keys: freshRsaKeys,
      },
    };
  };

  it('a leaf is renewed: new key, same names; the old pair is kept beside and goes on being held', async () => {
    const files = await leafFiles();
    const { leaf, ports } = portsFor(files);
    const before = leaf.current();
    expect(await renew(ports)).toMatchObject({ ok: true });
    expect(told).toEqual([{ who: 'spiffe://csp-a.example/broker', outcome: 'renewed' }]);
    expect(leaf.look()).toBe('changed');
    expect(leaf.look()).toBe('same');
    expect(leaf.signer.keyid).not.toBe(before.signer.keyid);
    expect(leaf.held().map(({ signer }) => signer.keyid)).toEqual([leaf.signer.keyid, before.signer.keyid]);
    expect(statSync(files.keyFile).mode & 0o777).toBe(0o600);
    // After a restart, too, and no longer than it lasts.
    expect(
      openLeaf(files, nowMs)
        .held()
        .map(({ signer }) => signer.keyid),
    ).toEqual([leaf.signer.keyid, before.signer.keyid]);
    expect(openLeaf(files, () => nowMs() + 2 * HOUR_MS).held()).toHaveLength(1);
    openssl(
      'verify',
      '-CAfile',
      fileOf('root.pem', writePem('CERTIFICATE', root)),
      '-untrusted',
      files.certificateFile,
      files.certificateFile,
    );
  });

  it('and not again under the new leaf before half of its life, nor under the old one for another key', async () => {
    const files = await leafFiles();
    const { leaf, ports } = portsFor(files);
    must(await renew(ports));
    const issued = readRegister(a.dir).issued.length;
    const thiefs = createRequest(await ground.keys(), { commonName: 'x', spiffeId: idOf(domainA) });
    expect(await ports.ask(thiefs)).toMatchObject({ code: 'RENEWAL_REFUSED', got: expect.stringContaining('RENEWAL_REPEATED') });
    leaf.look();
    expect(await renew(ports)).toMatchObject({ code: 'RENEWAL_REFUSED', got: expect.stringContaining('RENEWAL_EARLY') });
    expect(told).toMatchObject([{ outcome: 'renewed' }, { outcome: 'RENEWAL_REPEATED' }, { outcome: 'RENEWAL_EARLY' }]);
    expect(readRegister(a.dir).issued).toHaveLength(issued);
    expect(loadLeaf(files).signer.keyid).toBe(leaf.signer.keyid);
  });

  it('an answer that was lost is given again: the key is kept for it, over a restart', async () => {
    const { leaf, ports } = portsFor(await leafFiles());
    const lost = async (csr: Uint8Array): ReturnType<typeof ports.ask> => {
      must(await ports.ask(csr));
      return { ok: false, code: 'ISSUER_UNREACHABLE', text: 'the answer was lost' };
    };
    const issued = readRegister(a.dir).issued.length;
    expect(await renew({ ...ports, ask: lost })).toMatchObject({ code: 'ISSUER_UNREACHABLE' });
    expect(leaf.look()).toBe('same');
    expect(statSync(`${ports.files.keyFile}.next`).mode & 0o777).toBe(0o600);
    const restarted = portsFor(ports.files);
    must(await renew(restarted.ports));
    expect(restarted.leaf.look()).toBe('changed');
    expect(readRegister(a.dir).issued).toHaveLength(issued + 1);
    expect(existsSync(`${ports.files.keyFile}.next`)).toBe(false);
  });

  it('a kept key that was certified for another leaf is given up, and the next attempt makes another', async () => {
    const [{ ports }, other] = [portsFor(await leafFiles()), portsFor(await leafFiles())];
    const lost = async (csr: Uint8Array): ReturnType<typeof ports.ask> => {
      must(await other.ports.ask(csr));
      return { ok: false, code: 'ISSUER_UNREACHABLE', text: 'asked elsewhere' };
    };
    await renew({ ...ports, ask: lost });
    expect(await renew(ports)).toMatchObject({ got: expect.stringContaining('RENEWAL_KEY_REUSED') });
    must(await renew(ports));
  });

  it('the daemon and an operator at the same moment get one leaf, whole, and the one before it is kept', async () => {
    const files = await leafFiles();
    const [daemon, operator] = [portsFor(files), portsFor(files)];
    const before = daemon.leaf.signer.keyid;
    const issued = readRegister(a.dir).issued.length;
    const outcomes = await Promise.all([renew(daemon.ports), renew(operator.ports)]);
    // One may come when the other is done.
    expect(outcomes.map((one) => (one.ok ? 'renewed' : one.code))).toContain('renewed');
    expect(outcomes.filter((one) => !one.ok && one.code !== 'RENEWAL_OVERTAKEN')).toEqual([]);
    expect(told).not.toContainEqual(expect.objectContaining({ outcome: 'RENEWAL_REPEATED' }));
    expect(readRegister(a.dir).issued).toHaveLength(issued + 1);
    expect(daemon.leaf.look()).toBe('changed');
    expect(daemon.leaf.held().map(({ signer }) => signer.keyid)).toEqual([loadLeaf(files).signer.keyid, before]);
    expect(loadLeaf(filesBefore(files)).signer.keyid).toBe(before);
  });

  it('who comes when another is done asks nothing: the issuer would take him for a thief', async () => {
    const files = await leafFiles();
    const [daemon, operator] = [portsFor(files), portsFor(files)];
    const slow = async () => {
      must(await renew(operator.ports));
      return freshRsaKeys();
    };
    expect(await renew({ ...daemon.ports, keys: slow })).toMatchObject({ code: 'RENEWAL_OVERTAKEN' });
    expect(await renew(daemon.ports)).toMatchObject({ code: 'RENEWAL_OVERTAKEN' });
    expect(told).toMatchObject([{ outcome: 'renewed' }]);
    expect(existsSync(`${files.keyFile}.next`)).toBe(false);
    expect(daemon.leaf.look()).toBe('changed');
  });

  it('nobody is renewed under another CSP’s leaf, nor by a service that is not the issuer', async () => {
    const files = await leafFiles();
    const before = readFileSync(files.certificateFile, 'utf8');
    const imposter = materialOf(await leafFiles(idOf(domainA, 'server/other'), 'server'));
    const fake = await serveRenewals({
      office: a,
      crlMs: HOUR_MS,
      domain: domainA,
      tls: imposter.tls,
      listen,
      told: () => undefined,
    });
    const { tls, leaf } = materialOf(files);
    const ask = estIssuer({ url: `https://127.0.0.1:${fake.port}`, domain: domainA, material: tls });
    const refused = await renew({ files, leaf: leaf.current, ask, store, now, keys: ground.keys });
    await fake.close();
    expect(refused).toMatchObject({ code: 'ISSUER_UNREACHABLE', got: expect.stringContaining('IDENTITY_MISMATCH') });
    expect(readFileSync(files.certificateFile, 'utf8')).toBe(before);
  });

  it('a revoked leaf is cut off, and nothing is made', async () => {
    const files = await leafFiles();
    const { leaf, ports } = portsFor(files);
    const issued = readRegister(a.dir).issued.length;
    const { serial } = readRegister(a.dir).issued.at(-1) ?? { serial: '' };
    crls = [rootCrl, crlB, must(revokeCertificate(a, { serial, reason: 'keyCompromise', reach: 'line', crlMs: HOUR_MS }))];
    expect(await renew(ports)).toMatchObject({ code: 'ISSUER_UNREACHABLE' });
    expect(told).toEqual([{ who: '127.0.0.1', outcome: 'REVOKED' }]);
    expect(readRegister(a.dir).issued).toHaveLength(issued);
    expect(leaf.look()).toBe('same');
  });

  it('an operator revokes, nobody else; whoever asks gets the list, and keeps it if it is newer', async () => {
    const operator = materialOf(await leafFiles(idOf(domainA, 'operator/ann'), 'operator'));
    const victim = materialOf(await leafFiles());
    const { serial } = readRegister(a.dir).issued.at(-1) ?? { serial: '' };
    const as = ({ tls: material }: typeof victim) => ({ url, domain: domainA, material });
    const revocation = { serial, reason: 'keyCompromise', reach: 'line' } as const;
    const register = readFileSync(join(a.dir, 'register.ndjson'), 'utf8');
    expect(await askRevocation(as(victim), revocation)).toMatchObject({
      code: 'ISSUER_REFUSED',
      got: expect.stringContaining('ROLE_MISSING'),
    });
    expect(await askRevocation(as(operator), { ...revocation, serial: '../etc' })).toMatchObject({ code: 'ISSUER_REFUSED' });
    expect(await askRevocation(as(operator), { ...revocation, serial: 'abc' })).toMatchObject({
      got: expect.stringContaining('CERTIFICATE_UNKNOWN'),
    });
    expect(readFileSync(join(a.dir, 'register.ndjson'), 'utf8')).toBe(register);
    const before = must(await fetchCrl(as(victim)));
    const list = must(await askRevocation(as(operator), revocation));
    expect(must(readCrl(list)).revoked.has(serial)).toBe(true);
    const of = { domain: domainA, issuer: must(readCertificate(a.authority.certificate)).subject };
    const keep = (der: Uint8Array) => keepCrl(ground.dir, of, der);
    expect([keep(list), keep(before), keep(list), keep(crlB)].map((kept) => must(kept))).toEqual([
      'kept',
      'as before',
      'as before',
      'as before',
    ]);
    expect(Uint8Array.from(readFileSync(join(ground.dir, `${domainA}.der`)))).toEqual(list);
    expect(keep(new Uint8Array(9))).toMatchObject({ code: 'CRL_MALFORMED' });
    crls = [rootCrl, crlB, list];
    expect(await fetchCrl(as(victim))).toMatchObject({ code: 'ISSUER_UNREACHABLE' });
    expect(must(await fetchCrl(as(operator)))).toEqual(list);
  });

  it('an issuer that is away is asked again', async () => {
    const { ports } = portsFor(await leafFiles());
    const { tls } = materialOf(ports.files);
    expect(
      await renew({ ...ports, ask: estIssuer({ url: 'https://127.0.0.1:1', domain: domainA, material: tls }) }),
    ).toMatchObject({
      code: 'ISSUER_UNREACHABLE',
    });
  });

  it('the service says no to everything else', async () => {
    const { tls, leaf } = materialOf(await leafFiles());
    expect(renewFor(a, new Uint8Array(10), heldBy(leaf))).toMatchObject({ code: 'CSR_MALFORMED' });
    expect(await estIssuer({ url, domain: domainA, material: tls })(new Uint8Array(40_000))).toMatchObject({
      code: 'RENEWAL_REFUSED',
    });
  });
});

const fileOf = (name: string, text: string | Uint8Array): string => {
  writeFileSync(join(ground.dir, name), text);
  return join(ground.dir, name);
};

describe('an issuer that lies', () => {
  it.each<[string, (csr: Uint8Array, held: Uint8Array) => Checked<readonly Uint8Array[], PkiCode>, PkiCode]>([
    ['answers with the old certificate', (_, held) => accept([held, a.authority.certificate]), 'RENEWAL_REFUSED'],
    ['answers with nothing', () => accept([]), 'RENEWAL_REFUSED'],
    ['answers with bytes', () => accept([new Uint8Array(5)]), 'RENEWAL_REFUSED'],
    ['gives another name', (csr) => signedAs(csr, a, idOf(domainA, 'operator')), 'IDENTITY_MISMATCH'],
    ['is another CSP’s', (csr) => signedAs(csr, b, idOf(domainB)), 'IDENTITY_MISMATCH'],
    ['is another CSP’s, and gives our name', (csr) => signedAs(csr, b, idOf(domainA)), 'NAME_NOT_PERMITTED'],
  ])('and %s: %s, and the files stay', async (_, answer, code) => {
    const files = await leafFiles();
    const { leaf } = materialOf(files);
    const before = [files.certificateFile, files.keyFile].map((file) => readFileSync(file, 'utf8'));
    const ask = async (csr: Uint8Array) => answer(csr, heldBy(leaf));
    expect(await renew({ files, leaf: leaf.current, ask, store, now, keys: ground.keys })).toMatchObject({ ok: false, code });
    expect([files.certificateFile, files.keyFile].map((file) => readFileSync(file, 'utf8'))).toEqual(before);
    expect(existsSync(`${files.keyFile}.before`)).toBe(false);
  });

  /** Whatever name: laid out by hand, since issuing refuses. */
  function signedAs(
    csr: Uint8Array,
    office: typeof a,
    spiffeId: ReturnType<typeof idOf>,
  ): Checked<readonly Uint8Array[], PkiCode> {
    const request = must(readRequest(csr));
    const keys = { publicKey: request.publicKey, privateKey: office.authority.keys.privateKey };
    const names = subjectNames(spiffeId, []);
    return accept([
      certify({ issuer: office.authority, keys, names, notBeforeMs: nowMs() - 1_000 }),
      office.authority.certificate,
    ]);
  }
});

describe('certs-only', () => {
  it('is what OpenSSL reads and writes', () => {
    const ders = [a.authority.certificate, root];
    const p7 = writeCertsOnly(ders);
    const said = openssl('pkcs7', '-inform', 'DER', '-in', fileOf('ours.p7', p7), '-print_certs', '-noout');
    expect(said).toContain('CN = Issuer of csp-a.example');
    const pem = fileOf('two.pem', ders.map((der) => writePem('CERTIFICATE', der)).join(''));
    openssl('crl2pkcs7', '-nocrl', '-certfile', pem, '-outform', 'DER', '-out', join(ground.dir, 'theirs.p7'));
    for (const bytes of [p7, Uint8Array.from(readFileSync(join(ground.dir, 'theirs.p7')))])
      expect(
        must(readCertsOnly(bytes))
          .map((der) => Buffer.from(der).toString('base64'))
          .sort(),
      ).toEqual(ders.map((der) => Buffer.from(der).toString('base64')).sort());
  });

  it('broken is a refusal', () => {
    const p7 = writeCertsOnly([root]);
    for (const bytes of [new Uint8Array(), p7.subarray(0, 100), root, new Uint8Array(100_000)])
      expect(readCertsOnly(bytes)).toMatchObject({ ok: false });
  });
});

describe('two files that change together', () => {
  it('a crash before the first rename changes nothing; one between them is finished at the next start', async () => {
    const [files, other] = [await leafFiles(), await leafFiles()];
    const old = loadLeaf(files);
    const next = loadLeaf(other);
    writeFileSync(`${files.keyFile}.new`, next.keyPem, { mode: 0o600 });
    writeFileSync(`${files.certificateFile}.new`, next.certificatePem);
    expect(openLeaf(files, nowMs).signer.keyid).toBe(old.signer.keyid);
    expect(existsSync(`${files.certificateFile}.new`)).toBe(false);
    writeFileSync(`${files.certificateFile}.new`, next.certificatePem);
    writeFileSync(files.keyFile, next.keyPem, { mode: 0o600 });
    expect(openLeaf(files, nowMs).signer.keyid).toBe(next.signer.keyid);
  });

  it('a look between the renames finds what was before, and the next one the new leaf', async () => {
    const [files, other] = [await leafFiles(), await leafFiles()];
    const leaf = openLeaf(files, nowMs);
    const [old, next] = [leaf.signer.keyid, loadLeaf(other)];
    const kept = files.certificateFile;
    renameSync(other.keyFile, files.keyFile);
    expect(leaf.look()).toBe('same');
    expect(leaf.signer.keyid).toBe(old);
    renameSync(other.certificateFile, kept);
    expect(leaf.look()).toBe('changed');
    expect(leaf.signer.keyid).toBe(next.signer.keyid);
  });

  it('replaced, each file is private as before', async () => {
    const [files, other] = [await leafFiles(), await leafFiles()];
    expect(replacePair(files, loadLeaf(other), loadLeaf(files))).toBe('replaced');
    expect(statSync(`${files.keyFile}.before`).mode & 0o777).toBe(0o600);
    expect(existsSync(`${files.keyFile}.new`)).toBe(false);
  });

  it('are not mixed: what was renewed under a pair that is not there any more changes nothing', async () => {
    const [files, first, second] = [await leafFiles(), loadLeaf(await leafFiles()), loadLeaf(await leafFiles())];
    const old = loadLeaf(files);
    expect(replacePair(files, first, old)).toBe('replaced');
    expect(replacePair(files, second, old)).toBe('overtaken');
    expect(replacePair(files, first, old)).toBe('replaced');
    expect(loadLeaf(files).signer.keyid).toBe(first.signer.keyid);
    expect(loadLeaf(filesBefore(files)).signer.keyid).toBe(old.signer.keyid);
  });

  it('wait for who is at it, and touch nothing if he does not end', async () => {
    const [files, next] = [await leafFiles(), loadLeaf(await leafFiles())];
    const old = loadLeaf(files);
    // This very test run, as another process sees it.
    const stat = readFileSync(`/proc/${process.ppid}/stat`, 'utf8');
    const start = stat.slice(stat.lastIndexOf(')') + 2).split(' ')[19];
    writeFileSync(`${files.keyFile}.lock`, `${process.ppid} ${start}\n`);
    expect(() => replacePair(files, next, old)).toThrow('LEAF_BUSY');
    writeFileSync(`${files.certificateFile}.new`, next.certificatePem);
    expect(() => openLeaf(files, nowMs)).toThrow('LEAF_BUSY');
    expect(existsSync(`${files.certificateFile}.new`)).toBe(true);
    expect(loadLeaf(files).signer.keyid).toBe(old.signer.keyid);
  });
});

describe('a list that is kept', () => {
  it('gives way to no newer one that lacks what it revoked: the authority came back from a backup', async () => {
    const dir = join(ground.dir, 'kept');
    mkdirSync(dir);
    const of = { domain: domainA, issuer: must(readCertificate(a.authority.certificate)).subject };
    const list = (number: number, ...serials: readonly string[]) =>
      createCrl(a.authority, {
        number,
        thisUpdateMs: nowMs() - 1_000,
        nextUpdateMs: nowMs() + HOUR_MS,
        revoked: serials.map((serial) => ({ serial, atMs: nowMs(), reason: 'unspecified' })),
      });
    const kept = list(5, '4a', '4b');
    expect(must(keepCrl(dir, of, kept))).toBe('kept');
    expect(keepCrl(dir, of, list(6, '4a', '4c'))).toMatchObject({ ok: false, code: 'CRL_ENTRY_LOST', got: '4b' });
    expect(Uint8Array.from(readFileSync(join(dir, `${domainA}.der`)))).toEqual(kept);
    expect(must(keepCrl(dir, of, list(7, '4a', '4b', '4c')))).toBe('kept');
  });
});

describe('tending', () => {
  it('renews after two thirds of a life, once, and tries again after a failure', async () => {
    const files = await leafFiles(idOf(domainA), 'broker', 0);
    let clock = nowMs();
    const leaf = openLeaf(files, () => clock);
    const events: string[] = [];
    let answers = 0;
    vi.useFakeTimers({ toFake: ['setInterval', 'clearInterval'] });
    const tending = tendLeaf({
      leaf,
      nowMs: () => clock,
      renew: async () => {
        answers += 1;
        events.push(`asked ${answers}`);
        return answers === 1 ? { ok: false, code: 'ISSUER_UNREACHABLE', text: 'away' } : accept({ notAfterMs: 0 });
      },
      changed: () => void events.push('changed'),
      failed: ({ code }) => void events.push(code),
    });
    await vi.advanceTimersByTimeAsync(4_000);
    expect(events).toEqual([]);
    clock = leaf.validity().renewMs;
    await vi.advanceTimersByTimeAsync(2_000);
    expect(events).toEqual(['asked 1', 'ISSUER_UNREACHABLE']);
    await vi.advanceTimersByTimeAsync(4_000);
    expect(events).toHaveLength(2);
    clock += HOUR_MS / 20;
    await vi.advanceTimersByTimeAsync(2_000);
    expect(events.at(-1)).toBe('asked 2');
    await tending.stop();
    vi.useRealTimers();
  });
});
