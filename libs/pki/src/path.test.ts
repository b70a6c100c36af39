import { sign } from 'node:crypto';
import forge from 'node-forge';
import { describe, expect, it } from 'vitest';
import { type Authority, createIntermediate, createRoot } from './authority.ts';
import { createCrl } from './build-crl.ts';
import { readCertificate } from './certificate.ts';
import type { PkiCode } from './codes.ts';
import { authorityExtensions, leafExtensions, nameConstraints, subjectNames } from './extension-fields.ts';
import { type PathQuestion, validatePath } from './path.ts';
import {
  base64,
  certify,
  createWorld,
  crlOf,
  domainA,
  domainB,
  HOUR_MS,
  idOf,
  type LeafPlan,
  NOW,
  NOW_MS,
  random,
  timeAt,
  weakKeys,
} from './testing/chains.ts';
import { askOpenSsl } from './testing/openssl.ts';

const world = await createWorld();
const { root, a, b, leafKeys, otherKeys } = world;

/** A chain, what we say of it, and what OpenSSL says: `OK` beside one of our codes needs a reason. */
type Row = {
  readonly name: string;
  readonly leaf: Uint8Array;
  readonly above?: readonly Uint8Array[];
  readonly roots?: readonly Uint8Array[];
  readonly crls?: readonly Uint8Array[];
  readonly atMs?: number;
  readonly purpose?: 'serverAuth' | 'clientAuth';
  readonly ours: PkiCode | 'ok';
  readonly openssl: RegExp;
  readonly stricter?: string;
};

const leafOf = (plan: Partial<LeafPlan> = {}) => certify({ issuer: a, keys: leafKeys, ...plan });
const serialOf = (der: Uint8Array): string => {
  const read = readCertificate(der);
  return read.ok ? read.value.serial : 'unreadable';
};
const revoke = (der: Uint8Array, reason: 'keyCompromise' | 'superseded' = 'keyCompromise') => ({
  serial: serialOf(der),
  atMs: NOW_MS - HOUR_MS,
  reason,
});
const withNames = (...altNames: readonly object[]) => ({ name: 'subjectAltName', altNames });
const uri = (value: string) => ({ type: 6, value });
const dns = (value: string) => ({ type: 2, value });

/** An authority laid out by hand, under `issuer`. */
function authorityOf(
  issuer: Authority,
  name: string,
  use: LeafPlan['use'] = authorityExtensions(0),
  more: LeafPlan['more'] = [nameConstraints(domainA)],
): Authority {
  const certificate = certify({
    issuer,
    keys: otherKeys,
    name,
    use,
    more,
    names: { id: '2.5.29.99', critical: false, value: '\x05\x00' },
  });
  return { name, domain: domainA, certificate, notAfterMs: NOW_MS + HOUR_MS, keys: otherKeys };
}

const otherRoot = createRoot({
  name: 'Another root',
  keys: otherKeys,
  random,
  notBeforeMs: NOW_MS - HOUR_MS,
  notAfterMs: NOW_MS + HOUR_MS,
});
const sameNameRoot = createRoot({
  name: root.name,
  keys: otherKeys,
  random,
  notBeforeMs: NOW_MS - HOUR_MS,
  notAfterMs: NOW_MS + HOUR_MS,
});
const expiredA = createIntermediate(root, {
  domain: domainA,
  keys: a.keys,
  random,
  notBeforeMs: NOW_MS - 9 * HOUR_MS,
  notAfterMs: NOW_MS - HOUR_MS,
});
const subA = authorityOf(a, 'Below A');
const goodLeaf = leafOf();
const leafAsAuthority: Authority = { name: 'a leaf', domain: domainA, certificate: goodLeaf, notAfterMs: 0, keys: leafKeys };
const unbound = authorityOf(root, 'Unbound', authorityExtensions(0), []);
const notCritical = authorityOf(root, 'Not critical', authorityExtensions(0), [{ ...nameConstraints(domainA), critical: false }]);
const noCertSign = authorityOf(root, 'No keyCertSign', [
  authorityExtensions(0)[0] ?? { name: '' },
  { name: 'keyUsage', critical: true, cRLSign: true },
]);
const emailBound = authorityOf(root, 'Bound by e-mail', authorityExtensions(0), [constraintOf(1, domainA)]);
const crls = [crlOf(root), crlOf(a), crlOf(b)];
const revokedLeaf = leafOf();
const critical = { id: '1.2.3.4.5', critical: true, value: '\x05\x00' };

/** NameConstraints with a single permitted subtree of any kind. */
function constraintOf(tag: number, base: string): { readonly id: string; readonly critical: boolean; readonly value: string } {
  const { create, Class, Type, toDer } = forge.asn1;
  const subtree = create(Class.UNIVERSAL, Type.SEQUENCE, true, [create(Class.CONTEXT_SPECIFIC, tag, false, base)]);
  const constraints = create(Class.UNIVERSAL, Type.SEQUENCE, true, [create(Class.CONTEXT_SPECIFIC, 0, true, [subtree])]);
  return { id: '2.5.29.30', critical: true, value: toDer(constraints).getBytes() };
}

/** The same certificate with one bit of its signature turned over. */
function tampered(der: Uint8Array): Uint8Array {
  const copy = Uint8Array.from(der);
  copy[copy.length - 1] = (copy.at(-1) ?? 0) ^ 1;
  return copy;
}

/** The same certificate, signed with SHA-1. */
function signedWithSha1(der: Uint8Array, issuer: Authority): Uint8Array {
  const certificate = forge.pki.certificateFromAsn1(forge.asn1.fromDer(Buffer.from(der).toString('binary')));
  certificate.signatureOid = '1.2.840.113549.1.1.5';
  certificate.siginfo.algorithmOid = '1.2.840.113549.1.1.5';
  certificate.tbsCertificate = forge.pki.getTBSCertificate(certificate);
  const tbs = Buffer.from(forge.asn1.toDer(certificate.tbsCertificate).getBytes(), 'binary');
  certificate.signature = sign('sha1', tbs, issuer.keys.privateKey).toString('binary');
  return Uint8Array.from(Buffer.from(forge.asn1.toDer(forge.pki.certificateToAsn1(certificate)).getBytes(), 'binary'));
}

const rows: readonly Row[] = [
  { name: 'a good chain', leaf: goodLeaf, ours: 'ok', openssl: /^OK$/ },
  {
    name: 'a good client',
    leaf: leafOf({ use: leafExtensions('operator') }),
    purpose: 'clientAuth',
    ours: 'ok',
    openssl: /^OK$/,
  },
  {
    name: 'names in a subdomain',
    leaf: leafOf({ names: withNames(uri('spiffe://eu.csp-a.example/broker'), dns('x.eu.csp-a.example')) }),
    ours: 'ok',
    openssl: /^OK$/,
  },
  {
    name: 'another root',
    leaf: goodLeaf,
    roots: [otherRoot.certificate],
    ours: 'ROOT_UNKNOWN',
    openssl: /unable to get (local )?issuer/,
  },
  {
    name: 'a root of the same name with another key',
    leaf: goodLeaf,
    roots: [sameNameRoot.certificate],
    ours: 'ISSUER_MISMATCH',
    openssl: /unable to get (local )?issuer|signature failure/,
  },
  {
    name: 'both roots of one name',
    leaf: goodLeaf,
    roots: [sameNameRoot.certificate, root.certificate],
    ours: 'ok',
    openssl: /^OK$/,
  },
  {
    name: 'an expired leaf',
    leaf: leafOf({ notAfterMs: NOW_MS - HOUR_MS }),
    ours: 'EXPIRED',
    openssl: /certificate has expired/,
  },
  {
    name: 'a leaf in its last second',
    leaf: leafOf({ notAfterMs: NOW_MS }),
    ours: 'EXPIRED',
    openssl: /certificate has expired/,
  },
  {
    name: 'a leaf of tomorrow',
    leaf: leafOf({ notBeforeMs: NOW_MS + HOUR_MS }),
    ours: 'NOT_YET_VALID',
    openssl: /not yet valid/,
  },
  {
    name: 'an expired intermediate',
    leaf: goodLeaf,
    above: [expiredA.certificate],
    ours: 'EXPIRED',
    openssl: /certificate has expired/,
  },
  {
    name: 'B issuing for A',
    leaf: leafOf({ issuer: b, names: subjectNames(idOf('csp-a.example'), []) }),
    above: [b.certificate],
    ours: 'NAME_NOT_PERMITTED',
    openssl: /permitted subtree violation/,
  },
  {
    name: 'B issuing for a domain that ends like B',
    leaf: leafOf({ issuer: b, names: subjectNames(idOf('evil-csp-b.example'), []) }),
    above: [b.certificate],
    ours: 'NAME_NOT_PERMITTED',
    openssl: /permitted subtree violation/,
  },
  {
    name: 'B issuing for a domain that begins like B',
    leaf: leafOf({ issuer: b, names: subjectNames(idOf('csp-b.example.evil.example'), []) }),
    above: [b.certificate],
    ours: 'NAME_NOT_PERMITTED',
    openssl: /permitted subtree violation/,
  },
  {
    name: 'a DNS name outside',
    leaf: leafOf({ names: subjectNames(idOf('csp-a.example'), ['broker.csp-b.example']) }),
    ours: 'NAME_NOT_PERMITTED',
    openssl: /permitted subtree violation/,
  },
  {
    name: 'a DNS name that ends alike',
    leaf: leafOf({ names: subjectNames(idOf('csp-a.example'), ['evilcsp-a.example']) }),
    ours: 'NAME_NOT_PERMITTED',
    openssl: /permitted subtree violation/,
  },
  {
    name: 'an IPv4 address',
    leaf: leafOf({ names: withNames(uri('spiffe://csp-a.example/broker'), { type: 7, ip: '127.0.0.1' }) }),
    ours: 'NAME_NOT_PERMITTED',
    openssl: /excluded subtree violation/,
  },
  {
    name: 'an IPv6 address',
    leaf: leafOf({ names: withNames(uri('spiffe://csp-a.example/broker'), { type: 7, ip: '::1' }) }),
    ours: 'NAME_NOT_PERMITTED',
    openssl: /excluded subtree violation/,
  },
  {
    name: 'a user before the host',
    leaf: leafOf({ names: withNames(uri('spiffe://csp-a.example@csp-b.example/broker')) }),
    ours: 'NAME_MALFORMED',
    openssl: /subtree violation|name constraint|name syntax/,
  },
  {
    name: 'a URI without host',
    leaf: leafOf({ names: withNames(uri('urn:csp-a.example')) }),
    ours: 'NAME_MALFORMED',
    openssl: /name syntax|name constraint/,
  },
  {
    name: 'a leaf that issues',
    leaf: leafOf({ issuer: leafAsAuthority, name: 'below a leaf' }),
    above: [goodLeaf, a.certificate],
    crls: [...crls, crlOf(leafAsAuthority)],
    ours: 'NOT_A_CA',
    openssl:
      /invalid CA certificate|issuer certificate doesn't have a public key|unable to get (local )?issuer|key usage does not include certificate signing|path length/,
  },
  {
    name: 'an authority below the intermediate',
    leaf: leafOf({ issuer: subA }),
    above: [subA.certificate, a.certificate],
    crls: [...crls, crlOf(subA)],
    ours: 'PATH_TOO_LONG',
    openssl: /path length constraint exceeded/,
  },
  {
    name: 'an authority that may not sign certificates',
    leaf: leafOf({ issuer: noCertSign }),
    above: [noCertSign.certificate],
    crls: [...crls, crlOf(noCertSign)],
    ours: 'NOT_A_CA',
    openssl: /invalid CA|key usage|unable to get (local )?issuer|Key usage/,
  },
  { name: 'no CRL at all', leaf: goodLeaf, crls: [], ours: 'CRL_MISSING', openssl: /unable to get certificate CRL/ },
  { name: 'no CRL of the root', leaf: goodLeaf, crls: [crlOf(a)], ours: 'CRL_MISSING', openssl: /unable to get certificate CRL/ },
  {
    name: 'a stale CRL',
    leaf: goodLeaf,
    crls: [
      crlOf(root),
      createCrl(a, { number: 2, thisUpdateMs: NOW_MS - 2 * HOUR_MS, nextUpdateMs: NOW_MS - HOUR_MS, revoked: [] }),
    ],
    ours: 'CRL_STALE',
    openssl: /CRL has expired/,
  },
  {
    name: 'a CRL of tomorrow',
    leaf: goodLeaf,
    crls: [
      crlOf(root),
      createCrl(a, { number: 2, thisUpdateMs: NOW_MS + HOUR_MS, nextUpdateMs: NOW_MS + 2 * HOUR_MS, revoked: [] }),
    ],
    ours: 'CRL_NOT_YET_VALID',
    openssl: /CRL is not yet valid/,
  },
  {
    name: 'a CRL by another key',
    leaf: goodLeaf,
    crls: [crlOf(root), crlOf({ ...a, keys: otherKeys })],
    ours: 'CRL_SIGNATURE_INVALID',
    openssl: /CRL signature failure|unable to get (certificate CRL|CRL issuer)/,
  },
  {
    name: 'a revoked leaf',
    leaf: revokedLeaf,
    crls: [crlOf(root), crlOf(a, [revoke(revokedLeaf)])],
    ours: 'REVOKED',
    openssl: /certificate revoked/,
  },
  {
    name: 'a superseded leaf',
    leaf: revokedLeaf,
    crls: [crlOf(root), crlOf(a, [revoke(revokedLeaf, 'superseded')])],
    ours: 'REVOKED',
    openssl: /certificate revoked/,
  },
  {
    name: 'another revoked leaf',
    leaf: goodLeaf,
    crls: [crlOf(root), crlOf(a, [revoke(revokedLeaf)])],
    ours: 'ok',
    openssl: /^OK$/,
  },
  {
    name: 'a revoked intermediate',
    leaf: goodLeaf,
    crls: [crlOf(root, [revoke(a.certificate)]), crlOf(a)],
    ours: 'REVOKED',
    openssl: /certificate revoked/,
  },
  {
    name: 'a wrong purpose',
    leaf: leafOf({ use: leafExtensions('operator') }),
    ours: 'USAGE_MISMATCH',
    openssl: /unsuitable certificate purpose/,
  },
  {
    name: 'an unknown critical extension',
    leaf: leafOf({ more: [critical] }),
    ours: 'CRITICAL_EXTENSION_UNKNOWN',
    openssl: /unhandled critical extension/,
  },
  {
    name: 'an unknown critical extension of the intermediate',
    leaf: leafOf({ issuer: authorityOf(root, 'Odd', authorityExtensions(0), [nameConstraints(domainA), critical]) }),
    above: [authorityOf(root, 'Odd', authorityExtensions(0), [nameConstraints(domainA), critical]).certificate],
    ours: 'CRITICAL_EXTENSION_UNKNOWN',
    openssl: /unhandled critical extension/,
  },
  { name: 'an RSA-2048 leaf', leaf: leafOf({ keys: weakKeys(2_048) }), ours: 'KEY_WEAK', openssl: /key too weak/ },
  {
    name: 'a SHA-1 signature',
    leaf: signedWithSha1(goodLeaf, a),
    ours: 'ALGORITHM_WEAK',
    openssl: /digest algorithm too weak|md too weak/,
  },
  { name: 'a tampered leaf', leaf: tampered(goodLeaf), ours: 'CERTIFICATE_SIGNATURE_INVALID', openssl: /signature failure/ },
  {
    name: 'a tampered intermediate',
    leaf: goodLeaf,
    above: [tampered(a.certificate)],
    ours: 'CERTIFICATE_SIGNATURE_INVALID',
    openssl: /signature failure/,
  },
  {
    name: 'the wrong intermediate',
    leaf: goodLeaf,
    above: [b.certificate],
    ours: 'ISSUER_MISMATCH',
    openssl: /unable to get (local )?issuer/,
  },
  {
    name: 'an extension twice',
    leaf: leafOf({ more: [{ name: 'keyUsage', critical: true, digitalSignature: true, keyCertSign: true }] }),
    ours: 'CERTIFICATE_MALFORMED',
    openssl: /invalid|extension|purpose|malformed/i,
  },
  {
    name: 'a constraint of an unknown kind',
    leaf: leafOf({ issuer: emailBound }),
    above: [emailBound.certificate],
    crls: [...crls, crlOf(emailBound)],
    ours: 'NAME_CONSTRAINT_UNSUPPORTED',
    openssl: /./,
  },
  {
    name: 'two URIs',
    leaf: leafOf({ names: withNames(uri('spiffe://csp-a.example/broker'), uri('spiffe://csp-a.example/operator')) }),
    ours: 'IDENTITY_MALFORMED',
    openssl: /^OK$/,
    stricter: 'SPIFFE: the identity must not depend on who reads',
  },
  {
    name: 'no URI',
    leaf: leafOf({ names: withNames(dns('broker.csp-a.example')) }),
    ours: 'IDENTITY_MALFORMED',
    openssl: /^OK$/,
    stricter: 'SPIFFE',
  },
  {
    name: 'a web URI',
    leaf: leafOf({ names: withNames(uri('https://csp-a.example/broker')) }),
    ours: 'IDENTITY_MALFORMED',
    openssl: /^OK$/,
    stricter: 'SPIFFE',
  },
  {
    name: 'a leaf that is an authority',
    leaf: leafOf({ use: authorityExtensions(0), more: [{ name: 'extKeyUsage', serverAuth: true }] }),
    ours: 'LEAF_IS_CA',
    openssl: /./,
    stricter: 'an issuing key must not speak for a service',
  },
  {
    name: 'a leaf without extended key usage',
    leaf: leafOf({ use: leafExtensions('broker').slice(0, 2) }),
    ours: 'USAGE_MISMATCH',
    openssl: /^OK$/,
    stricter: 'a leaf that may do everything was not issued by a profile',
  },
  {
    name: 'an intermediate bound to nothing',
    leaf: leafOf({ issuer: unbound }),
    above: [unbound.certificate],
    crls: [...crls, crlOf(unbound)],
    ours: 'NAMES_UNCONSTRAINED',
    openssl: /^OK$/,
    stricter: 'one CSP could issue for all',
  },
  {
    name: 'constraints that are not critical',
    leaf: leafOf({ issuer: notCritical }),
    above: [notCritical.certificate],
    crls: [...crls, crlOf(notCritical)],
    ours: 'NAMES_UNCONSTRAINED',
    openssl: /./,
    stricter: 'RFC 5280: must be critical; others may ignore them',
  },
  {
    name: 'the root in the chain',
    leaf: goodLeaf,
    above: [a.certificate, root.certificate],
    ours: 'SELF_ISSUED',
    openssl: /^OK$/,
    stricter: 'trust comes from our files, not from the peer',
  },
  {
    name: 'a wildcard',
    leaf: leafOf({ names: subjectNames(idOf('csp-a.example'), ['*.csp-a.example']) }),
    ours: 'NAME_MALFORMED',
    openssl: /^OK$/,
    stricter: 'one certificate, one host',
  },
  {
    name: 'a forged CRL beside a good one',
    leaf: goodLeaf,
    crls: [...crls, crlOf({ ...a, keys: otherKeys }, [], 9)],
    ours: 'CRL_SIGNATURE_INVALID',
    openssl: /^OK$|CRL/,
    stricter: 'somebody wrote into the folder of CRLs',
  },
  {
    name: 'an older CRL that does not know of the revocation',
    leaf: revokedLeaf,
    crls: [crlOf(root), crlOf(a, [revoke(revokedLeaf)], 2), crlOf(a, [], 1)],
    ours: 'REVOKED',
    openssl: /./,
    stricter: 'the higher number counts, OpenSSL takes the later date or the first',
  },
];

const questionOf = ({
  leaf,
  above = [a.certificate],
  roots = [root.certificate],
  crls: lists = crls,
  atMs = NOW_MS,
  purpose = 'serverAuth',
}: Row): PathQuestion => ({
  chain: [leaf, ...above].map(base64),
  roots,
  crls: lists,
  at: timeAt(atMs),
  purpose,
});

describe('validatePath beside openssl verify -x509_strict -crl_check_all', () => {
  it.each(rows)('$name: $ours', (row) => {
    const question = questionOf(row);
    const result = validatePath(question);
    const { leaf, above = [a.certificate], atMs = NOW_MS } = row;
    const openssl = askOpenSsl({
      ...question,
      chain: [leaf, ...above],
      atMs,
      purpose: question.purpose === 'clientAuth' ? 'sslclient' : 'sslserver',
    });
    expect(result.ok ? 'ok' : result.code).toBe(row.ours);
    expect(openssl).toMatch(row.openssl);
    // Never laxer; stricter only with a reason.
    expect([result.ok && openssl !== 'OK', !result.ok && openssl === 'OK' && row.stricter === undefined]).toEqual([false, false]);
  });
});

describe('validatePath', () => {
  const good = questionOf({ name: '', leaf: goodLeaf, ours: 'ok', openssl: /./ });
  const codeOf = (question: Partial<PathQuestion>) => {
    const result = validatePath({ ...good, ...question });
    return result.ok ? 'ok' : result.code;
  };

  it('names the identity', () => {
    const read = readCertificate(goodLeaf);
    expect(validatePath(good)).toMatchObject({
      ok: true,
      value: { spiffeId: 'spiffe://csp-a.example/broker', domain: domainA, leafDigest: read.ok ? read.value.digest : '' },
    });
  });

  it.each<[string, Partial<PathQuestion>, PkiCode]>([
    ['another domain', { trustDomain: domainB }, 'DOMAIN_MISMATCH'],
    ['another identity', { spiffeId: idOf('csp-a.example', 'agent/host-1') }, 'IDENTITY_MISMATCH'],
    ['another pinned leaf', { leafDigest: crlDigest() }, 'LEAF_MISMATCH'],
    ['no certificate', { chain: [] }, 'CHAIN_LENGTH'],
    ['a leaf alone', { chain: [base64(goodLeaf)] }, 'CHAIN_LENGTH'],
    ['a long chain', { chain: Array.from({ length: 4 }, () => base64(goodLeaf)) }, 'CHAIN_LENGTH'],
    [
      'bytes after the certificate',
      { chain: [base64(Uint8Array.of(...goodLeaf, 0)), base64(a.certificate)] },
      'CERTIFICATE_MALFORMED',
    ],
    ['no DER', { chain: ['AAAA', base64(a.certificate)] }, 'CERTIFICATE_MALFORMED'],
    ['no roots', { roots: [] }, 'ROOT_UNKNOWN'],
    ['a broken CRL', { crls: [...crls, Uint8Array.of(0x30, 0)] }, 'CRL_MALFORMED'],
    ['a fresh CRL that is stale by our clock', { now: timeAt(NOW_MS + 48 * HOUR_MS) }, 'CRL_STALE'],
  ])('refuses %s', (_, question, code) => {
    expect(codeOf(question)).toBe(code);
  });

  it('lets an auditor judge a certificate that was revoked later', () => {
    const lists = [crlOf(root), crlOf(a, [revoke(goodLeaf)])];
    expect(codeOf({ crls: lists })).toBe('REVOKED');
    expect(
      codeOf({ crls: lists, at: timeAt(NOW_MS - 2 * HOUR_MS), now: NOW, ignoreRevokedAfter: timeAt(NOW_MS - 2 * HOUR_MS) }),
    ).toBe('ok');
    expect(codeOf({ crls: lists, ignoreRevokedAfter: NOW })).toBe('REVOKED');
  });
});

/** Some other digest. */
function crlDigest() {
  const read = readCertificate(a.certificate);
  if (!read.ok) throw new Error(read.text);
  return read.value.digest;
}
