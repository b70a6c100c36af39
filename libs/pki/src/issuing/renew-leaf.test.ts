import { copyFileSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { readCertificate } from '../certificate.ts';
import { readCrl } from '../crl.ts';
import { validatePath } from '../path.ts';
import { writePem } from '../pem.ts';
import { createRequest, readRequest, readRequestPem } from '../request.ts';
import type { RsaKeyPair } from '../rsa-keys.ts';
import { base64, domainA, domainB, HOUR_MS, idOf, NOW_MS, timeAt } from '../testing/chains.ts';
import { authorityGround } from '../testing/offices.ts';
import { acceptIssuer } from './accept-issuer.ts';
import { authorityPaths } from './authority-files.ts';
import { type Office, signIssuer, signLeaf } from './issue.ts';
import { readRegister } from './register.ts';
import { renewLeaf } from './renew-leaf.ts';
import { isCrlDue, makeCrl, type RevocationReach, revokeCertificate } from './revoke.ts';

const DAY_MS = 24 * HOUR_MS;
const LIFE_MS = 30 * DAY_MS;
const ground = authorityGround();
afterAll(() => rmSync(ground.dir, { recursive: true }));
const must = <T>(checked: { readonly ok: true; readonly value: T } | { readonly ok: false; readonly code: string }): T => {
  if (checked.ok) return checked.value;
  throw new Error(checked.code);
};

const root = await ground.makeRoot();
const signed = signIssuer(ground.office('root'), must(readRequestPem(await ground.makeIssuer(domainA))), {
  domain: domainA,
  lifeMs: 730 * DAY_MS,
});
const pems = { certificatePem: writePem('CERTIFICATE', signed), rootPem: writePem('CERTIFICATE', root) };
must(acceptIssuer(join(ground.dir, domainA), { ...pems, nowMs: NOW_MS }));
const rootCrl = makeCrl(ground.office('root'), 365 * DAY_MS);

const wish = { profile: 'broker', spiffeId: idOf(domainA), dnsNames: [], lifeMs: LIFE_MS } as const;
const after = (days: number): Office => ground.office(domainA, () => NOW_MS + days * DAY_MS);
const requestOf = (keys: RsaKeyPair, spiffeId = idOf(domainA)) =>
  must(readRequest(createRequest(keys, { commonName: 'x', spiffeId })));
const fresh = async () => requestOf(await ground.keys());
const serialOf = (der: Uint8Array): string => must(readCertificate(der)).serial;
const first = async (): Promise<Uint8Array> => must(signLeaf(after(0), await fresh(), wish)).certificate;
const renewed = async (held: Uint8Array, days: number) => must(renewLeaf(after(days), await fresh(), held)).certificate;
const registerFile = join(ground.dir, domainA, 'register.ndjson');
const registerText = (): string => readFileSync(registerFile, 'utf8');
const revoke = (days: number, leaf: Uint8Array, reach: RevocationReach = 'line') =>
  revokeCertificate(after(days), { serial: serialOf(leaf), reason: 'keyCompromise', reach, crlMs: DAY_MS });
const verdict = (leaf: Uint8Array, crl: Uint8Array, days: number): string => {
  const question = { chain: [leaf, signed].map(base64), roots: [root], crls: [rootCrl, crl], purpose: 'clientAuth' } as const;
  const path = validatePath({ ...question, at: timeAt(NOW_MS + days * DAY_MS + 60_000) });
  return path.ok ? 'good' : path.code;
};

describe('renewal', () => {
  it('gives the same names and life for a new key; the old leaf stays good; the register says what it renews', async () => {
    const held = await first();
    const leaf = await renewed(held, 20);
    const [before, now] = [must(readCertificate(held)), must(readCertificate(leaf))];
    expect(now.names).toEqual(before.names);
    expect(now.notAfterMs).toBe(NOW_MS + 50 * DAY_MS);
    expect(now.publicKey.equals(before.publicKey)).toBe(false);
    expect(readRegister(after(0).dir).issued.at(-1)).toMatchObject({ serial: now.serial, renews: before.digest });
    expect([held, leaf].map((one) => verdict(one, makeCrl(after(20), DAY_MS), 20))).toEqual(['good', 'good']);
  });

  it('comes at half of a life and no earlier', async () => {
    const held = await first();
    const request = await fresh();
    const before = registerText();
    expect(renewLeaf(after(14.9), request, held)).toMatchObject({ ok: false, code: 'RENEWAL_EARLY' });
    expect(registerText()).toBe(before);
    expect(renewLeaf(after(15), request, held)).toMatchObject({ ok: true });
  });

  it('asked for again, by the same key, is the same certificate; the register does not grow', async () => {
    const held = await first();
    const request = await fresh();
    const once = must(renewLeaf(after(16), request, held));
    const before = registerText();
    for (let i = 0; i < 5; i++) expect(must(renewLeaf(after(17 + i), request, held))).toEqual(once);
    expect(registerText()).toBe(before);
  });

  it.each<[string, (held: Uint8Array, keys: { old: RsaKeyPair; next: RsaKeyPair }) => unknown, string]>([
    ['the same key', (held, { old }) => renewLeaf(after(20), requestOf(old), held), 'RENEWAL_KEY_REUSED'],
    [
      'another name',
      (held, { next }) => renewLeaf(after(20), requestOf(next, idOf(domainA, 'operator')), held),
      'CSR_NAME_MISMATCH',
    ],
    ['another CSP’s name', (held, { next }) => renewLeaf(after(20), requestOf(next, idOf(domainB)), held), 'CSR_NAME_MISMATCH'],
    ['a leaf that has ended', (held, { next }) => renewLeaf(after(31), requestOf(next), held), 'EXPIRED'],
    ['a leaf of somebody else', (_, { next }) => renewLeaf(after(20), requestOf(next), signed), 'CERTIFICATE_UNKNOWN'],
    [
      'a revoked leaf',
      (held, { next }) => {
        must(revoke(20, held));
        return renewLeaf(after(20), requestOf(next), held);
      },
      'REVOKED',
    ],
  ])('for %s is refused, and no certificate is made', async (_, ask, code) => {
    const keys = { old: await ground.keys(), next: await ground.keys() };
    const held = must(signLeaf(after(0), requestOf(keys.old), wish)).certificate;
    const before = readRegister(after(0).dir).issued;
    expect(ask(held, keys)).toMatchObject({ ok: false, code });
    expect(readRegister(after(0).dir).issued).toEqual(before);
  });
});

describe('a thief who has a leaf’s key', () => {
  it('gets no second leaf beside the owner’s, and the register does not grow, however often he asks', async () => {
    const held = await first();
    const owners = await renewed(held, 20);
    const before = registerText();
    for (let i = 0; i < 5; i++)
      expect(renewLeaf(after(20 + i), await fresh(), held)).toMatchObject({ ok: false, code: 'RENEWAL_REPEATED' });
    expect(registerText()).toBe(before);
    expect(verdict(owners, makeCrl(after(20), DAY_MS), 20)).toBe('good');
  });

  it('who renewed first is noticed by the owner; revoking what is known ends his leaves too, and those renewed from them', async () => {
    const [stolen, bystander] = [await first(), await first()];
    const his = await renewed(stolen, 16);
    const next = await renewed(his, 32 - 0.5);
    expect(renewLeaf(after(20), await fresh(), stolen)).toMatchObject({ ok: false, code: 'RENEWAL_REPEATED' });
    const list = must(revoke(20, stolen));
    expect([stolen, his, next, bystander].map((one) => must(readCrl(list)).revoked.has(serialOf(one)))).toEqual([
      true,
      true,
      true,
      false,
    ]);
    expect(verdict(his, list, 20)).toBe('REVOKED');
    for (const one of [stolen, his, next]) expect(renewLeaf(after(25), await fresh(), one)).toMatchObject({ code: 'REVOKED' });
  });

  it('of an older leaf of the line is stopped by revoking a later one: what ended needs no entry', async () => {
    const stolen = await first();
    const second = await renewed(stolen, 20);
    const third = await renewed(second, 40);
    const list = must(readCrl(must(revoke(41, second)))).revoked;
    expect([stolen, second, third].map((one) => list.has(serialOf(one)))).toEqual([false, true, true]);
  });

  it('told otherwise, one alone is revoked, and the leaf before it may be renewed again', async () => {
    const held = await first();
    const lost = await renewed(held, 16);
    const list = must(revoke(17, lost, 'one'));
    expect([verdict(held, list, 17), verdict(lost, list, 17)]).toEqual(['good', 'REVOKED']);
    const again = await renewed(held, 18);
    // The rest of the line, later.
    const all = must(revoke(18, lost));
    expect([held, again].map((one) => verdict(one, all, 18))).toEqual(['REVOKED', 'REVOKED']);
    expect(revoke(18, lost)).toMatchObject({ code: 'ALREADY_REVOKED' });
  });
});

describe('a revocation', () => {
  it('that was recorded and not published is published by the next attempt, and noticed before', async () => {
    const leaf = await first();
    const stale = makeCrl(after(0), DAY_MS);
    const file = authorityPaths(after(0).dir).crl;
    expect(isCrlDue(after(0), DAY_MS)).toBe(false);
    copyFileSync(file, `${file}.before`);
    must(revoke(0, leaf));
    // As a crash between register and list leaves it.
    copyFileSync(`${file}.before`, file);
    expect(must(readCrl(stale)).revoked.has(serialOf(leaf))).toBe(false);
    expect(isCrlDue(after(0), DAY_MS)).toBe(true);
    expect(revoke(0, leaf)).toMatchObject({ ok: false, code: 'ALREADY_REVOKED' });
    expect(must(readCrl(Uint8Array.from(readFileSync(file)))).revoked.has(serialOf(leaf))).toBe(true);
    expect(isCrlDue(after(0), DAY_MS)).toBe(false);
  });

  it('outlives a register that comes back from a backup: the last list knows it', async () => {
    const leaf = await first();
    copyFileSync(registerFile, `${registerFile}.backup`);
    must(revoke(16, leaf));
    copyFileSync(`${registerFile}.backup`, registerFile);
    expect(readRegister(after(0).dir).revoked.has(serialOf(leaf))).toBe(false);
    expect(isCrlDue(after(16), DAY_MS)).toBe(true);
    expect(must(readCrl(makeCrl(after(16), DAY_MS))).revoked.has(serialOf(leaf))).toBe(true);
    expect(renewLeaf(after(17), await fresh(), leaf)).toMatchObject({ code: 'REVOKED' });
  });
});
