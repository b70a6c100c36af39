import { readFileSync } from 'node:fs';
import type { TrustDomain } from '@carnet/events';
import { accept, type Checked, refuse } from '@carnet/trust';
import { type Certificate, isSignedBy, isStrongAlgorithm, isStrongKey, readCertificate } from '../certificate.ts';
import type { PkiCode } from '../codes.ts';
import { writeDurably } from '../durable.ts';
import { PkiError } from '../error.ts';
import type { NameConstraintSet, SubjectName } from '../names.ts';
import { readPem, writePem } from '../pem.ts';
import { readRequestPem } from '../request.ts';
import { authorityPaths, readIdentity } from './authority-files.ts';

type Step = Checked<null, PkiCode>;
const passed: Step = accept(null);

/**
 * Takes the signed certificate of an issuing authority into its directory, whoever signed it: our own root, or a CA that the
 * federation has for one. A CA that left the constraints out, or set others, made a certificate that every peer would refuse (or, worse,
 * that could speak for another CSP): refused here, with nothing written.
 */
export function acceptIssuer(
  dir: string,
  of: { readonly certificatePem: string; readonly rootPem: string; readonly nowMs: number },
): Checked<Certificate, PkiCode> {
  const { domain } = readIdentity(dir);
  if (domain === undefined) throw new PkiError('OUTSIDE_DOMAIN', 'expected an issuing authority: a root signs itself');
  const request = readRequestPem(readFileSync(authorityPaths(dir).request, 'utf8'));
  if (!request.ok) return request;
  const [der = new Uint8Array()] = readPem(of.certificatePem, 'CERTIFICATE');
  const certificate = readCertificate(der);
  if (!certificate.ok) return certificate;
  const [rootDer = new Uint8Array()] = readPem(of.rootPem, 'CERTIFICATE');
  const root = readCertificate(rootDer);
  if (!root.ok) return root;
  const verdict = firstRefusal([
    () => checkOwnership(certificate.value, request.value),
    () => checkRoot(certificate.value, root.value),
    () => checkValidity([certificate.value, root.value], of.nowMs),
    () => checkAuthority(certificate.value),
    () => checkConstraints(certificate.value.constraints, domain),
  ]);
  if (!verdict.ok) return verdict;
  writeDurably(authorityPaths(dir).certificate, writePem('CERTIFICATE', der));
  return certificate;
}

function firstRefusal(checks: readonly (() => Step)[]): Step {
  for (const check of checks) {
    const result = check();
    if (!result.ok) return result;
  }
  return passed;
}

function checkOwnership(
  certificate: Certificate,
  request: { readonly publicKey: Certificate['publicKey']; readonly subject: string },
): Step {
  if (!certificate.publicKey.equals(request.publicKey))
    return refuse('ISSUER_KEY_MISMATCH', 'expected a certificate for the key of this directory');
  if (certificate.subject !== request.subject)
    return refuse('ISSUER_NAME_CHANGED', 'expected the subject of the request, byte by byte');
  return isStrongKey(certificate) ? passed : refuse('KEY_WEAK', 'expected RSA of at least 3072 bits');
}

function checkRoot(certificate: Certificate, root: Certificate): Step {
  if (!isStrongKey(root)) return refuse('KEY_WEAK', 'expected a root of RSA of at least 3072 bits');
  if (certificate.issuer !== root.subject) return refuse('ROOT_UNKNOWN', 'expected a certificate of the root that is given');
  if (!isStrongAlgorithm(certificate)) return refuse('ALGORITHM_WEAK', 'expected RSA with SHA-256 or better');
  if (!isSignedBy(certificate, root.publicKey))
    return refuse('CERTIFICATE_SIGNATURE_INVALID', 'expected a signature by the root that is given');
  const isNamed = certificate.subjectKeyId !== undefined && certificate.authorityKeyId !== undefined;
  return isNamed ? passed : refuse('KEY_IDENTIFIER_MISSING', 'expected key identifiers of subject and issuer');
}

function checkValidity(certificates: readonly Certificate[], nowMs: number): Step {
  if (certificates.some(({ notBeforeMs }) => notBeforeMs > nowMs))
    return refuse('NOT_YET_VALID', 'expected a certificate that has begun');
  return certificates.every(({ notAfterMs }) => nowMs < notAfterMs)
    ? passed
    : refuse('EXPIRED', 'expected a certificate that has not ended');
}

/** It signs leaves and their CRL, and no authority below itself. */
function checkAuthority({ authority, keyUsage, unknownCritical, names }: Certificate): Step {
  if (authority?.isCritical !== true || keyUsage?.has('keyCertSign') !== true)
    return refuse('NOT_A_CA', 'expected a certificate authority');
  if (keyUsage?.has('cRLSign') !== true) return refuse('USAGE_MISMATCH', 'expected the key usage cRLSign');
  if (authority.pathLength !== 0)
    return refuse('PATH_TOO_LONG', 'expected an authority for leaves only', { expected: '0', got: String(authority.pathLength) });
  if (names.length > 0) return refuse('NAME_NOT_PERMITTED', 'expected an authority without alternative names');
  const [unknown] = unknownCritical;
  return unknown === undefined
    ? passed
    : refuse('CRITICAL_EXTENSION_UNKNOWN', 'expected no unknown critical extension', { got: unknown });
}

/** Exactly ours: one name more, and this authority could speak for somebody else. */
function checkConstraints(constraints: NameConstraintSet | undefined, domain: TrustDomain): Step {
  if (constraints === undefined) return refuse('NAMES_UNCONSTRAINED', 'expected critical name constraints');
  if (!constraints.isCritical || !constraints.isUnderstood)
    return refuse('CONSTRAINTS_WRONG', 'expected critical constraints of URI, DNS and IP names');
  const expected = new Set([`uri ${domain}`, `uri .${domain}`, `dns ${domain}`]);
  const permitted = constraints.permitted.map(nameOf);
  const stranger = permitted.find((name) => !expected.has(name));
  if (stranger !== undefined)
    return refuse('CONSTRAINTS_WRONG', 'expected names of the own domain only', { got: stranger.slice(0, 200) });
  if (![...expected].every((name) => permitted.includes(name)))
    return refuse('CONSTRAINTS_WRONG', 'expected URI and DNS names of the domain', { expected: [...expected].join(', ') });
  const excluded = constraints.excluded.map(nameOf);
  return ['ip 4', 'ip 16'].every((name) => excluded.includes(name))
    ? passed
    : refuse('CONSTRAINTS_WRONG', 'expected that all IP addresses are excluded', { got: excluded.join(', ').slice(0, 200) });
}

/** A subtree of all addresses is address and mask of zeros. */
function nameOf(name: SubjectName): string {
  switch (name.kind) {
    case 'uri':
    case 'dns':
      return `${name.kind} ${name.text}`;
    case 'ip':
      return name.octets.every((octet) => octet === 0) ? `ip ${name.octets.length / 2}` : `ip ${name.octets.join('.')}`;
    case 'other':
      return `tag ${name.tag}`;
  }
}
