import type { KeyObject } from 'node:crypto';
import type { SpiffeId, TrustDomain } from '@carnet/events';
import forge from 'node-forge';
import { keyIdentifier } from './build-certificate.ts';
import { GENERAL_NAME, OID } from './oids.ts';
import { LEAF_PROFILES, type LeafProfile } from './profiles.ts';

/** An extension as node-forge takes it: by name when it can write it, else as DER. */
export type ExtensionField = { readonly [field: string]: unknown } & ({ readonly name: string } | { readonly id: string });

/** May sign certificates, `pathLenConstraint` levels of authorities deep, and CRLs. */
export const authorityExtensions = (pathLenConstraint: number): readonly ExtensionField[] => [
  { name: 'basicConstraints', critical: true, cA: true, pathLenConstraint },
  { name: 'keyUsage', critical: true, keyCertSign: true, cRLSign: true },
];

/** What a leaf of a role may do; it issues nothing. nats-server and libvirt want keyEncipherment from those that listen. */
export const leafExtensions = (profile: LeafProfile): readonly ExtensionField[] => [
  { name: 'basicConstraints', critical: true, cA: false },
  { name: 'keyUsage', critical: true, digitalSignature: true, keyEncipherment: true },
  { name: 'extKeyUsage', ...Object.fromEntries(LEAF_PROFILES[profile].map((usage) => [usage, true])) },
];

/** One URI, the identity; DNS names for servers that are dialled by name. */
export const subjectNames = (spiffeId: SpiffeId, dnsNames: readonly string[]): ExtensionField => ({
  name: 'subjectAltName',
  altNames: [{ type: GENERAL_NAME.uri, value: spiffeId }, ...dnsNames.map((value) => ({ type: GENERAL_NAME.dns, value }))],
});

export const subjectKey = (key: KeyObject): ExtensionField => ({
  id: OID.subjectKeyIdentifier,
  critical: false,
  value: derBytes(
    forge.asn1.create(forge.asn1.Class.UNIVERSAL, forge.asn1.Type.OCTETSTRING, false, keyIdentifier(key).toString('binary')),
  ),
});

/** @param keyId the issuer's subject key identifier */
export const authorityKey = (keyId: Buffer): ExtensionField => ({
  name: 'authorityKeyIdentifier',
  keyIdentifier: keyId.toString('binary'),
});

/**
 * NameConstraints (RFC 5280, section 4.2.1.10), which node-forge cannot write itself. A URI constraint without a dot covers that
 * host only, with a leading dot its subdomains only; a DNS constraint covers both. No IP address may be issued for at all.
 */
export function nameConstraints(domain: TrustDomain): ExtensionField {
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
