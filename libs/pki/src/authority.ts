import type { KeyObject } from 'node:crypto';
import type { SpiffeId, TrustDomain } from '@carnet/events';
import { buildCertificate, keyIdentifier, type RandomBytes } from './build-certificate.ts';
import { readCertificate } from './certificate.ts';
import { PkiError } from './error.ts';
import {
  authorityExtensions,
  authorityKey,
  leafExtensions,
  nameConstraints,
  subjectKey,
  subjectNames,
} from './extension-fields.ts';
import { writePem } from './pem.ts';
import type { LeafProfile } from './profiles.ts';
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
  const certificate = certifyIntermediate(root, { ...of, publicKey: of.keys.publicKey });
  return { name: issuerName(of.domain), domain: of.domain, certificate, notAfterMs: of.notAfterMs, keys: of.keys };
}

/** The common name of a CSP's issuing authority. */
export const issuerName = (domain: TrustDomain): string => `Issuer of ${domain}`;

/** The certificate alone, for an authority whose private key is elsewhere. Names and extensions are ours, whatever was asked for. */
export function certifyIntermediate(
  root: Authority,
  of: Lifetime & { readonly domain: TrustDomain; readonly publicKey: KeyObject; readonly random: RandomBytes },
): Uint8Array {
  const extensions = [
    ...authorityExtensions(0),
    nameConstraints(of.domain),
    subjectKey(of.publicKey),
    authorityKey(issuerKeyId(root)),
  ];
  return buildCertificate(
    { ...of, subject: issuerName(of.domain), issuer: root.name, extensions },
    root.keys.privateKey,
    of.random,
  );
}

/** As the issuer's certificate says it: another CA may name keys in another way than we do (RFC 5280, section 4.2.1.1). */
export function issuerKeyId(authority: Pick<Authority, 'certificate' | 'keys'>): Buffer {
  const certificate = readCertificate(authority.certificate);
  const said = certificate.ok ? certificate.value.subjectKeyId : undefined;
  return said === undefined ? keyIdentifier(authority.keys.publicKey) : Buffer.from(said, 'hex');
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
    ...leafExtensions(of.profile),
    subjectNames(of.spiffeId, of.dnsNames),
    subjectKey(of.publicKey),
    authorityKey(issuerKeyId(authority)),
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

/** Path validation would refuse such a leaf everywhere: better to find out where it is made. */
function refuseOutside({ domain }: Authority, spiffeId: SpiffeId, dnsNames: readonly string[]): void {
  if (domain === undefined) throw new PkiError('OUTSIDE_DOMAIN', 'expected an intermediate: the root issues no leaves');
  const foreign = dnsNames.find((name) => name !== domain && !name.endsWith(`.${domain}`));
  if (!spiffeId.startsWith(`spiffe://${domain}/`) || foreign !== undefined) {
    throw new PkiError('OUTSIDE_DOMAIN', `expected names of ${domain}, got ${foreign ?? spiffeId}`);
  }
}
