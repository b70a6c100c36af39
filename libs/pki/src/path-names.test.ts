import forge from 'node-forge';
import { describe } from 'vitest';
import { authorityExtensions, type ExtensionField, nameConstraints, subjectNames } from './extension-fields.ts';
import { certify, createWorld, crlOf, domainA, idOf, type LeafPlan } from './testing/chains.ts';
import { authorityUnder, compareWithOpenSsl, OK } from './testing/oracle.ts';

const world = await createWorld();
const { root, a, b } = world;
const crls = [crlOf(root), crlOf(a), crlOf(b)];
const leafOf = (plan: Partial<LeafPlan>) => certify({ issuer: a, keys: world.leafKeys, ...plan });
const named = (...altNames: readonly object[]) => ({ leaf: leafOf({ names: { name: 'subjectAltName', altNames } }) });
const spiffe = (domain: string, ...dnsNames: readonly string[]) => ({
  leaf: leafOf({ names: subjectNames(idOf(domain), dnsNames) }),
});
const byB = (domain: string) => ({ leaf: leafOf({ issuer: b, names: subjectNames(idOf(domain), []) }), above: [b.certificate] });
const uri = (value: string) => ({ type: 6, value });
const dns = (value: string) => ({ type: 2, value });
const broker = uri('spiffe://csp-a.example/broker');

/** A good leaf under an intermediate with these extensions instead of its name constraints. */
function under(name: string, more: readonly ExtensionField[]) {
  const issuer = authorityUnder(root, { name, keys: world.otherKeys, use: authorityExtensions(0), more });
  return { leaf: leafOf({ issuer }), above: [issuer.certificate], crls: [...crls, crlOf(issuer)] };
}

/** Critical NameConstraints with one permitted subtree of any kind. */
function permitting(tag: number, base: string): ExtensionField {
  const { create, Class, Type, toDer } = forge.asn1;
  const subtree = create(Class.UNIVERSAL, Type.SEQUENCE, true, [create(Class.CONTEXT_SPECIFIC, tag, false, base)]);
  const constraints = create(Class.UNIVERSAL, Type.SEQUENCE, true, [create(Class.CONTEXT_SPECIFIC, 0, true, [subtree])]);
  return { id: '2.5.29.30', critical: true, value: toDer(constraints).getBytes() };
}

const violation = /permitted subtree violation/;
const excluded = /excluded subtree violation/;

describe('names, beside openssl verify', () => {
  compareWithOpenSsl(world, crls, [
    ['names in a subdomain', named(uri('spiffe://eu.csp-a.example/broker'), dns('x.eu.csp-a.example')), 'ok', OK],
    ['B issuing for A', byB('csp-a.example'), 'NAME_NOT_PERMITTED', violation],
    ['B issuing for a domain that ends like B', byB('evil-csp-b.example'), 'NAME_NOT_PERMITTED', violation],
    ['B issuing for a domain that begins like B', byB('csp-b.example.evil.example'), 'NAME_NOT_PERMITTED', violation],
    ['a DNS name outside', spiffe('csp-a.example', 'broker.csp-b.example'), 'NAME_NOT_PERMITTED', violation],
    ['a DNS name that ends alike', spiffe('csp-a.example', 'evilcsp-a.example'), 'NAME_NOT_PERMITTED', violation],
    ['an IPv4 address', named(broker, { type: 7, ip: '127.0.0.1' }), 'NAME_NOT_PERMITTED', excluded],
    ['an IPv6 address', named(broker, { type: 7, ip: '::1' }), 'NAME_NOT_PERMITTED', excluded],
    [
      'a user before the host',
      named(uri('spiffe://csp-a.example@csp-b.example/x')),
      'NAME_MALFORMED',
      /subtree violation|name syntax/,
    ],
    ['a URI without host', named(uri('urn:csp-a.example')), 'NAME_MALFORMED', /name syntax|name constraint/],
    [
      'a permitted e-mail domain only',
      under('By e-mail', [permitting(1, domainA)]),
      'NAME_CONSTRAINT_UNSUPPORTED',
      OK,
      'it binds no name that counts here',
    ],
    [
      'a permitted URI domain only',
      under('By URI', [permitting(6, domainA)]),
      'NAMES_UNCONSTRAINED',
      OK,
      'it leaves DNS names free',
    ],
    ['an intermediate bound to nothing', under('Unbound', []), 'NAMES_UNCONSTRAINED', OK, 'one CSP could issue for all'],
    [
      'constraints that are not critical',
      under('Lax', [{ ...nameConstraints(domainA), critical: false }]),
      'NAMES_UNCONSTRAINED',
      /./,
      'others may skip them (RFC 5280: must be critical)',
    ],
    ['a wildcard', spiffe('csp-a.example', '*.csp-a.example'), 'NAME_MALFORMED', OK, 'one certificate, one host'],
    ['upper case', spiffe('csp-a.example', 'Broker.csp-a.example'), 'NAME_MALFORMED', OK, 'names have one spelling'],
    [
      'an e-mail address',
      named(broker, { type: 1, value: 'x@csp-a.example' }),
      'NAME_MALFORMED',
      OK,
      'no constraint of ours binds it',
    ],
    [
      'two URIs',
      named(broker, uri('spiffe://csp-a.example/operator')),
      'IDENTITY_MALFORMED',
      OK,
      'SPIFFE: which counts would depend on the reader',
    ],
    ['no URI', named(dns('broker.csp-a.example')), 'IDENTITY_MALFORMED', OK, 'SPIFFE'],
    ['a web URI', named(uri('https://csp-a.example/broker')), 'IDENTITY_MALFORMED', OK, 'SPIFFE'],
    [
      'a SPIFFE id without path',
      named(uri('spiffe://csp-a.example')),
      'IDENTITY_MALFORMED',
      OK,
      'it names a domain, nobody in it',
    ],
  ]);
});
