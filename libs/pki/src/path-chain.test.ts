import { sign } from 'node:crypto';
import forge from 'node-forge';
import { describe } from 'vitest';
import { type Authority, createIntermediate, createRoot } from './authority.ts';
import { authorityExtensions, leafExtensions, nameConstraints } from './extension-fields.ts';
import { certify, createWorld, crlOf, domainA, HOUR_MS, type LeafPlan, NOW_MS, random, weakKeys } from './testing/chains.ts';
import { authorityUnder, compareWithOpenSsl, OK, type Row, type Shown } from './testing/oracle.ts';

const world = await createWorld();
const { root, a, b, leafKeys, otherKeys } = world;
const crls = [crlOf(root), crlOf(a), crlOf(b)];
const leafOf = (plan: Partial<LeafPlan> = {}) => certify({ issuer: a, keys: leafKeys, ...plan });
const goodLeaf = leafOf();
const hours = (from: number, to: number) => ({ notBeforeMs: NOW_MS + from * HOUR_MS, notAfterMs: NOW_MS + to * HOUR_MS });
const rootNamed = (name: string) => createRoot({ name, keys: otherKeys, random, ...hours(-1, 1) }).certificate;
const bound = nameConstraints(domainA);
const critical = { id: '1.2.3.4.5', critical: true, value: '\x05\x00' };

/** A good leaf under an authority that may be wrong. */
function under(issuer: Authority, ...above: readonly Uint8Array[]): Shown {
  return { leaf: leafOf({ issuer, name: 'below' }), above: [issuer.certificate, ...above], crls: [...crls, crlOf(issuer)] };
}
const plan = (name: string, use = authorityExtensions(0), more: LeafPlan['more'] = [bound]) => ({
  name,
  keys: otherKeys,
  use,
  more,
});
const [mayIssue] = authorityExtensions(0);
const noCertSign = plan('No keyCertSign', [
  ...(mayIssue === undefined ? [] : [mayIssue]),
  { name: 'keyUsage', critical: true, cRLSign: true },
]);
const clientsOnly = plan('For clients', [...authorityExtensions(0), { name: 'extKeyUsage', clientAuth: true }]);
const leafAsAuthority: Authority = { name: 'a leaf', domain: domainA, certificate: goodLeaf, notAfterMs: 0, keys: leafKeys };

/** One bit of the signature turned over. */
function tampered(der: Uint8Array): Uint8Array {
  const copy = Uint8Array.from(der);
  copy[copy.length - 1] = (copy.at(-1) ?? 0) ^ 1;
  return copy;
}

/** The same certificate, signed with SHA-1. */
function signedWithSha1(der: Uint8Array): Uint8Array {
  const certificate = forge.pki.certificateFromAsn1(forge.asn1.fromDer(Buffer.from(der).toString('binary')));
  certificate.signatureOid = '1.2.840.113549.1.1.5';
  certificate.siginfo.algorithmOid = '1.2.840.113549.1.1.5';
  certificate.tbsCertificate = forge.pki.getTBSCertificate(certificate);
  const tbs = Buffer.from(forge.asn1.toDer(certificate.tbsCertificate).getBytes(), 'binary');
  certificate.signature = sign('sha1', tbs, a.keys.privateKey).toString('binary');
  return Uint8Array.from(Buffer.from(forge.asn1.toDer(forge.pki.certificateToAsn1(certificate)).getBytes(), 'binary'));
}

const noIssuer = /unable to get (local )?issuer/;
const expiredA = createIntermediate(root, { domain: domainA, keys: a.keys, random, ...hours(-9, -1) });
const client = leafExtensions('operator');
const keyUsageAgain = { name: 'keyUsage', critical: true, digitalSignature: true, keyCertSign: true };

const roots: readonly Row[] = [
  ['a good chain', { leaf: goodLeaf }, 'ok', OK],
  ['a good client', { leaf: leafOf({ use: client }), purpose: 'clientAuth' }, 'ok', OK],
  ['another root', { leaf: goodLeaf, roots: [rootNamed('Another root')] }, 'ROOT_UNKNOWN', noIssuer],
  ['a root of the same name with another key', { leaf: goodLeaf, roots: [rootNamed(root.name)] }, 'ISSUER_MISMATCH', noIssuer],
  ['both roots of one name', { leaf: goodLeaf, roots: [rootNamed(root.name), root.certificate] }, 'ok', OK],
  [
    'the root in the chain',
    { leaf: goodLeaf, above: [a.certificate, root.certificate] },
    'SELF_ISSUED',
    OK,
    'trust comes from our files, not from the peer',
  ],
  ['the wrong intermediate', { leaf: goodLeaf, above: [b.certificate] }, 'ISSUER_MISMATCH', noIssuer],
];

const times: readonly Row[] = [
  ['an expired leaf', { leaf: leafOf({ notAfterMs: NOW_MS - HOUR_MS }) }, 'EXPIRED', /certificate has expired/],
  ['a leaf in its last second', { leaf: leafOf({ notAfterMs: NOW_MS }) }, 'EXPIRED', /certificate has expired/],
  ['a leaf of tomorrow', { leaf: leafOf({ notBeforeMs: NOW_MS + HOUR_MS }) }, 'NOT_YET_VALID', /not yet valid/],
  ['an expired intermediate', { leaf: goodLeaf, above: [expiredA.certificate] }, 'EXPIRED', /certificate has expired/],
];

const authorities: readonly Row[] = [
  ['a leaf that issues', under(leafAsAuthority, a.certificate), 'NOT_A_CA', /invalid CA certificate/],
  [
    'an authority below the intermediate',
    under(authorityUnder(a, plan('Below A')), a.certificate),
    'PATH_TOO_LONG',
    /path length constraint exceeded/,
  ],
  ['an authority that may not sign certificates', under(authorityUnder(root, noCertSign)), 'NOT_A_CA', /invalid CA|key usage/i],
  [
    'a leaf that is an authority',
    { leaf: leafOf({ use: authorityExtensions(0), more: [{ name: 'extKeyUsage', serverAuth: true }] }) },
    'LEAF_IS_CA',
    /./,
    'an issuing key must not speak for a service',
  ],
];

const identifiers: readonly Row[] = [
  [
    'a leaf that does not identify its issuer',
    { leaf: leafOf({ without: 'authorityKey' }) },
    'KEY_IDENTIFIER_MISSING',
    /Authority Key Identifier/i,
  ],
  ['a leaf that does not identify itself', { leaf: leafOf({ without: 'subjectKey' }) }, 'ok', OK],
  [
    'an authority that does not identify its key',
    under(authorityUnder(root, { ...plan('No key id'), without: 'subjectKey' })),
    'KEY_IDENTIFIER_MISSING',
    /Subject Key Identifier/i,
  ],
];

const forms: readonly Row[] = [
  ['an authority for clients only', under(authorityUnder(root, clientsOnly)), 'USAGE_MISMATCH', /unsuitable certificate purpose/],
  ['a wrong purpose', { leaf: leafOf({ use: client }) }, 'USAGE_MISMATCH', /unsuitable certificate purpose/],
  [
    'no extended key usage',
    { leaf: leafOf({ use: leafExtensions('broker').slice(0, 2) }) },
    'USAGE_MISMATCH',
    OK,
    'no profile of ours issued it',
  ],
  [
    'an unknown critical extension',
    { leaf: leafOf({ more: [critical] }) },
    'CRITICAL_EXTENSION_UNKNOWN',
    /unhandled critical extension/,
  ],
  [
    'one of the intermediate',
    under(authorityUnder(root, plan('Odd', authorityExtensions(0), [bound, critical]))),
    'CRITICAL_EXTENSION_UNKNOWN',
    /unhandled critical/,
  ],
  ['an extension twice', { leaf: leafOf({ more: [keyUsageAgain] }) }, 'CERTIFICATE_MALFORMED', noIssuer],
  ['an RSA-2048 leaf', { leaf: leafOf({ keys: weakKeys(2_048) }) }, 'KEY_WEAK', /key too weak/],
  ['a SHA-1 signature', { leaf: signedWithSha1(goodLeaf) }, 'ALGORITHM_WEAK', /digest algorithm too weak|md too weak/],
  ['a tampered leaf', { leaf: tampered(goodLeaf) }, 'CERTIFICATE_SIGNATURE_INVALID', /signature failure/],
  [
    'a tampered intermediate',
    { leaf: goodLeaf, above: [tampered(a.certificate)] },
    'CERTIFICATE_SIGNATURE_INVALID',
    /signature failure/,
  ],
];

describe('chains, beside openssl verify', () => {
  compareWithOpenSsl(world, crls, [...roots, ...times, ...authorities, ...identifiers, ...forms]);
});
