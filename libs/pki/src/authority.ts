import type { KeyObject } from 'node:crypto';
import type { SpiffeId, TrustDomain } from '@carnet/events';
import forge from 'node-forge';
import { buildCertificate, keyIdentifier, type RandomBytes } from './build-certificate.ts';
import { PkiError } from './error.ts';
import { GENERAL_NAME, OID } from './oids.ts';
import { writePem } from './pem.ts';
import { LEAF_PROFILES, type LeafProfile } from './profiles.ts';
import type { RsaKeyPair } from './rsa-keys.ts';

/** A certificate authority that can issue. `domain`: the trust domain that an intermediate is bound to. */
export type Authority = {
  readonly name: string;
  readonly domain?: TrustDomain;
  readonly certificate: Uint8Array;
  readonly notAfterMs: number;
  readonly keys: RsaKeyPair;
};

/** Times are Unix milliseconds; certificates hold whole seconds. */
export type Lifetime = { readonly notBeforeMs: number; readonly notAfterMs: number };

/** A leaf as its holder needs it: `chain` is base64 DER as events carry it, `pem` is leaf and intermediate for TLS. */
export type IssuedLeaf = { readonly certificate: Uint8Array; readonly chain: readonly string[]; readonly pem: string };

/** The federation's root: offline; signs intermediates and their CRL, nothing else. */
export function createRoot(
  of: Lifetime & { readonly name: string; readonly keys: RsaKeyPair; readonly random: RandomBytes },
): Authority {
  const extensions = [...authorityExtensions(1), subjectKey(of.keys.publicKey)];
  const fields = { ...of, subject: of.name, issuer: of.name, publicKey: of.keys.publicKey, extensions };
  const certificate = buildCertificate(fields, of.keys.privateKey, of.random);
  return { name: of.name, certificate, notAfterMs: of.notAfterMs, keys: of.keys };
}

/**
 * A CSP's issuing authority. Critical name constraints bind it to its own domain and subdomains, so that one CSP cannot issue
 * for another; it can issue leaves only.
 */
export function createIntermediate(
  root: Authority,
  of: Lifetime & { readonly domain: TrustDomain; readonly keys: RsaKeyPair; readonly random: RandomBytes },
): Authority {
  const name = `Issuer of ${of.domain}`;
  const extensions = [
    ...authorityExtensions(0),
    nameConstraints(of.domain),
    subjectKey(of.keys.publicKey),
    authorityKey(root.keys.publicKey),
  ];
  const fields = { ...of, subject: name, issuer: root.name, publicKey: of.keys.publicKey, extensions };
  const certificate = buildCertificate(fields, root.keys.privateKey, of.random);
  return { name, domain: of.domain, certificate, notAfterMs: of.notAfterMs, keys: of.keys };
}

/**
 * A leaf of one role.
 * @throws PkiError OUTSIDE_DOMAIN, OUTLIVES_ISSUER: our own authority refuses what every peer would refuse
 */
export function issueLeaf(
  authority: Authority,
  of: Lifetime & {
    readonly profile: LeafProfile;
    readonly spiffeId: SpiffeId;
    readonly dnsNames: readonly string[];
    readonly publicKey: KeyObject;
    readonly random: RandomBytes;
  },
): IssuedLeaf {
  refuseOutside(authority, of.spiffeId, of.dnsNames);
  if (of.notAfterMs > authority.notAfterMs) throw new PkiError('OUTLIVES_ISSUER', 'expected a leaf that ends before its issuer');
  const extensions = [
    { name: 'basicConstraints', critical: true, cA: false },
    { name: 'keyUsage', critical: true, digitalSignature: true, keyEncipherment: true },
    { name: 'extKeyUsage', ...Object.fromEntries(LEAF_PROFILES[of.profile].map((usage) => [usage, true])) },
    {
      name: 'subjectAltName',
      altNames: [
        { type: GENERAL_NAME.uri, value: of.spiffeId },
        ...of.dnsNames.map((value) => ({ type: GENERAL_NAME.dns, value })),
      ],
    },
    subjectKey(of.publicKey),
    authorityKey(authority.keys.publicKey),
  ];
  const subject = of.spiffeId.slice('spiffe://'.length).replace('/', ' ');
  const certificate = buildCertificate(
    { ...of, subject, issuer: authority.name, extensions },
    authority.keys.privateKey,
    of.random,
  );
  return {
    certificate,
    chain: [certificate, authority.certificate].map((der) => Buffer.from(der).toString('base64')),
    pem: writePem('CERTIFICATE', certificate) + writePem('CERTIFICATE', authority.certificate),
  };
}

function refuseOutside({ domain }: Authority, spiffeId: SpiffeId, dnsNames: readonly string[]): void {
  if (domain === undefined) throw new PkiError('OUTSIDE_DOMAIN', 'expected an intermediate: the root issues no leaves');
  const foreign = dnsNames.find((name) => name !== domain && !name.endsWith(`.${domain}`));
  if (!spiffeId.startsWith(`spiffe://${domain}/`) || foreign !== undefined) {
    throw new PkiError('OUTSIDE_DOMAIN', `expected names of ${domain}, got ${foreign ?? spiffeId}`);
  }
}

const authorityExtensions = (pathLenConstraint: number): readonly object[] => [
  { name: 'basicConstraints', critical: true, cA: true, pathLenConstraint },
  { name: 'keyUsage', critical: true, keyCertSign: true, cRLSign: true },
];

const subjectKey = (key: KeyObject): object => ({
  id: OID.subjectKeyIdentifier,
  critical: false,
  value: derBytes(
    forge.asn1.create(forge.asn1.Class.UNIVERSAL, forge.asn1.Type.OCTETSTRING, false, keyIdentifier(key).toString('binary')),
  ),
});

const authorityKey = (key: KeyObject): object => ({
  name: 'authorityKeyIdentifier',
  keyIdentifier: keyIdentifier(key).toString('binary'),
});

/**
 * NameConstraints (RFC 5280, section 4.2.1.10), which node-forge cannot write itself. A URI constraint without a dot covers that
 * host only, with a leading dot its subdomains only; a DNS constraint covers both. No IP address may be issued for at all.
 */
function nameConstraints(domain: TrustDomain): object {
  const permitted = [
    subtree(GENERAL_NAME.uri, domain),
    subtree(GENERAL_NAME.uri, `.${domain}`),
    subtree(GENERAL_NAME.dns, domain),
  ];
  // Address and mask, all zero: every IPv4 and every IPv6 address.
  const excluded = [subtree(GENERAL_NAME.ip, '\0'.repeat(8)), subtree(GENERAL_NAME.ip, '\0'.repeat(32))];
  const constraints = forge.asn1.create(forge.asn1.Class.UNIVERSAL, forge.asn1.Type.SEQUENCE, true, [
    forge.asn1.create(forge.asn1.Class.CONTEXT_SPECIFIC, 0, true, permitted),
    forge.asn1.create(forge.asn1.Class.CONTEXT_SPECIFIC, 1, true, excluded),
  ]);
  return { id: OID.nameConstraints, critical: true, value: derBytes(constraints) };
}

const subtree = (tag: number, base: string): forge.asn1.Asn1 =>
  forge.asn1.create(forge.asn1.Class.UNIVERSAL, forge.asn1.Type.SEQUENCE, true, [
    forge.asn1.create(forge.asn1.Class.CONTEXT_SPECIFIC, tag, false, base),
  ]);

const derBytes = (value: forge.asn1.Asn1): string => forge.asn1.toDer(value).getBytes();
