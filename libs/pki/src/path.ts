import { CHAIN_CERTIFICATES_MAX, type Digest, type SpiffeId, type Timestamp, type TrustDomain } from '@carnet/events';
import { accept, type Checked, refuse, type Verifier } from '@carnet/trust';
import { type Certificate, isSignedBy, isStrongAlgorithm, isStrongKey, readCertificate } from './certificate.ts';
import type { PkiCode } from './codes.ts';
import { checkRevocation } from './crl.ts';
import type { CrlMarks } from './crl-marks.ts';
import { checkLeaf } from './leaf.ts';
import { CERTIFICATES_REMEMBERED_MAX } from './limits.ts';
import { isReadable, judgeName } from './names.ts';
import { OID } from './oids.ts';
import type { TlsUsage } from './profiles.ts';
import { rsaPssVerifier } from './rsa-pss.ts';

/** Roots and CRLs in DER, as read from files. Do not change the bytes: what was parsed is remembered by identity. */
export type TrustStore = {
  readonly roots: readonly Uint8Array[];
  readonly crls: readonly Uint8Array[];
  /** Numbers of CRLs that never go back. Absent: the lists at hand are all that is known, as for an auditor of the past. */
  readonly marks?: CrlMarks;
  /** Issuing authorities that were confirmed for a domain, by SHA-256: under them alone anybody speaks for it, whatever the roots sign. */
  readonly issuers?: ReadonlyMap<TrustDomain, Digest>;
};

export type PathQuestion = TrustStore & {
  /** DER in base64, leaf first, root excluded. */
  readonly chain: readonly string[];
  /** When the certificates must be valid. */
  readonly at: Timestamp;
  /** Our clock, which judges the freshness of CRLs. Absent: `at`. */
  readonly now?: Timestamp;
  /**
   * For who decides offline, long after: a list of any age counts for what it revokes, and no age of it revokes anything. Absent: a
   * list must be fresh. That there is one at all, signed by its issuer, is demanded either way.
   */
  readonly crlAge?: 'not judged';
  /** For an auditor who judges the past: a certificate revoked later was good then. Absent: revoked is revoked. */
  readonly ignoreRevokedAfter?: Timestamp;
  readonly trustDomain?: TrustDomain;
  readonly spiffeId?: SpiffeId;
  readonly leafDigest?: Digest;
  /** TLS role of the leaf. Absent: it signs documents, which `digitalSignature` allows. */
  readonly purpose?: TlsUsage;
};

/** Who holds the private key of the leaf. `verifier`: RSASSA-PSS with SHA-256. */
export type PeerIdentity = {
  readonly spiffeId: SpiffeId;
  readonly domain: TrustDomain;
  readonly leafDigest: Digest;
  readonly verifier: Verifier;
};

/** Leaf first, the trusted root last. */
type Path = readonly Certificate[];
type Step = Checked<null, PkiCode>;
const passed: Step = accept(null);

/**
 * Full path validation of RFC 5280, section 6, with name constraints and CRLs for every certificate below the root, in the
 * profile of this federation; what OpenSSL does with `-x509_strict -crl_check_all`, and stricter where the README says so.
 * Synchronous, and pure but for `marks`, which learn the number of a verified CRL. A root is trusted by its key and name, whatever a peer sends.
 */
export function validatePath(question: PathQuestion): Checked<PeerIdentity, PkiCode> {
  const chain = readChain(question.chain);
  if (!chain.ok) return chain;
  const path = findRoot(chain.value, question.roots);
  if (!path.ok) return path;
  const checked = firstRefusal([
    () => checkForm(path.value),
    () => checkSignatures(path.value),
    () => checkValidity(path.value, Date.parse(question.at)),
    () => checkAuthorities(path.value, question.purpose),
    () => checkConstraints(path.value),
    () => checkNames(path.value),
    () => checkRevocations(path.value, question),
  ]);
  if (!checked.ok) return checked;
  const leaf = checkLeaf(chain.value[0], question);
  if (!leaf.ok) return leaf;
  const pinned = checkPinned(chain.value, question.issuers?.get(leaf.value.domain));
  if (!pinned.ok) return pinned;
  return accept({ ...leaf.value, verifier: rsaPssVerifier(chain.value[0].publicKey) });
}

function firstRefusal(checks: readonly (() => Step)[]): Step {
  for (const check of checks) {
    const result = check();
    if (!result.ok) return result;
  }
  return passed;
}

function firstOf(path: Path, check: (certificate: Certificate, issuer: Certificate, depth: number) => Step): Step {
  for (const [depth, certificate] of path.entries()) {
    const result = check(certificate, path[depth + 1] ?? certificate, depth);
    if (!result.ok) return result;
  }
  return passed;
}

/** A leaf and at least one intermediate: what the root signs directly is bound to no domain. */
function readChain(chain: readonly string[]): Checked<readonly [Certificate, ...Certificate[]], PkiCode> {
  const certificates: Certificate[] = [];
  for (const base64 of chain.slice(0, CHAIN_CERTIFICATES_MAX + 1)) {
    const certificate = readRemembered(base64);
    if (!certificate.ok) return certificate;
    certificates.push(certificate.value);
  }
  const [leaf, ...above] = certificates;
  if (leaf === undefined || above.length === 0 || certificates.length > CHAIN_CERTIFICATES_MAX) {
    return refuse('CHAIN_LENGTH', 'expected another number of certificates', {
      expected: `2 to ${CHAIN_CERTIFICATES_MAX}, leaf first, without the root`,
      got: String(chain.length),
    });
  }
  return accept([leaf, ...above]);
}

// Caches of pure results: parsing takes milliseconds, and the same few peers are judged again and again. They hold what was
// parsed, never what was decided.
const remembered = new Map<string, Checked<Certificate, PkiCode>>();
const rememberedRoots = new WeakMap<Uint8Array, Checked<Certificate, PkiCode>>();

function readRemembered(base64: string): Checked<Certificate, PkiCode> {
  const known = remembered.get(base64);
  if (known !== undefined) return known;
  const result = readCertificate(Uint8Array.from(Buffer.from(base64, 'base64')));
  if (remembered.size >= CERTIFICATES_REMEMBERED_MAX) remembered.clear();
  remembered.set(base64, result);
  return result;
}

function readRoot(der: Uint8Array): Checked<Certificate, PkiCode> {
  const result = rememberedRoots.get(der) ?? readCertificate(der);
  rememberedRoots.set(der, result);
  return result;
}

/** Names link the chain, upwards to one of our roots; keys decide when a name is used twice. */
function findRoot(chain: Path, roots: readonly Uint8Array[]): Checked<Path, PkiCode> {
  const last = chain.at(-1);
  const candidates = roots.flatMap((der) => {
    const root = readRoot(der);
    return root.ok && root.value.subject === last?.issuer ? [root.value] : [];
  });
  if (chain.some(({ subject, issuer }) => subject === issuer))
    return refuse('SELF_ISSUED', 'expected no self-issued certificate');
  const root = candidates.find((candidate) => last !== undefined && isSignedBy(last, candidate.publicKey)) ?? candidates[0];
  if (root === undefined) return refuse('ROOT_UNKNOWN', 'expected a chain that ends at a trusted root');
  return accept([...chain, root]);
}

/** DER of a Name without attributes. */
const EMPTY_NAME = '3000';

function checkForm(path: Path): Step {
  return firstOf(path, (certificate, _, depth) => {
    const { subject, issuer, subjectKeyId, authorityKeyId } = certificate;
    if (subject === EMPTY_NAME || issuer === EMPTY_NAME) return refuse('NAME_MALFORMED', 'expected a subject and an issuer');
    // RFC 5280, sections 4.2.1.1 and 4.2.1.2: they tell apart keys of one name.
    if ((depth > 0 && subjectKeyId === undefined) || (depth < path.length - 1 && authorityKeyId === undefined)) {
      return refuse('KEY_IDENTIFIER_MISSING', 'expected key identifiers of subject and issuer', { got: `certificate ${depth}` });
    }
    const [unknown] = certificate.unknownCritical;
    if (unknown !== undefined)
      return refuse('CRITICAL_EXTENSION_UNKNOWN', 'expected no unknown critical extension', { got: unknown });
    if (!isStrongKey(certificate)) return refuse('KEY_WEAK', 'expected RSA of at least 3072 bits', { got: keyOf(certificate) });
    if (isStrongAlgorithm(certificate)) return passed;
    return refuse('ALGORITHM_WEAK', 'expected RSA with SHA-256 or better', { got: certificate.signatureAlgorithm });
  });
}

const keyOf = ({ publicKey }: Certificate): string =>
  `${publicKey.asymmetricKeyType ?? 'unknown'} ${publicKey.asymmetricKeyDetails?.modulusLength ?? ''}`.trim();

function checkSignatures(path: Path): Step {
  return firstOf(path, (certificate, issuer, depth) => {
    const isOthersKey = certificate.authorityKeyId !== undefined && certificate.authorityKeyId !== issuer.subjectKeyId;
    if (certificate.issuer !== issuer.subject || isOthersKey) {
      return refuse('ISSUER_MISMATCH', 'expected each certificate to be followed by its issuer', { got: `certificate ${depth}` });
    }
    if (isSignedBy(certificate, issuer.publicKey)) return passed;
    return refuse('CERTIFICATE_SIGNATURE_INVALID', 'expected a signature by the issuer', { got: `certificate ${depth}` });
  });
}

/** The last second does not count, as in OpenSSL. Written so that a time that is no number (NaN) is refused. */
function checkValidity(path: Path, atMs: number): Step {
  return firstOf(path, ({ notBeforeMs, notAfterMs }, _, depth) => {
    if (!(notBeforeMs <= atMs))
      return refuse('NOT_YET_VALID', 'expected a certificate that has begun', { got: `certificate ${depth}` });
    if (atMs < notAfterMs) return passed;
    return refuse('EXPIRED', 'expected a certificate that has not ended', { got: `certificate ${depth}` });
  });
}

/** Whoever issued must be an authority, and not deeper than those above it allow (RFC 5280, section 6.1.4, k to n). */
function checkAuthorities(path: Path, purpose: TlsUsage | undefined): Step {
  return firstOf(path, ({ authority, keyUsage, extendedKeyUsage }, _, depth) => {
    if (depth === 0) return passed;
    if (authority?.isCritical !== true || keyUsage?.has('keyCertSign') !== true) {
      return refuse('NOT_A_CA', 'expected a certificate authority', { got: `certificate ${depth}` });
    }
    // An authority that lists usages gives out no others, as OpenSSL and CABF read it.
    if (purpose !== undefined && extendedKeyUsage?.includes(OID[purpose]) === false) {
      return refuse('USAGE_MISMATCH', 'expected an authority that may issue for this use', {
        expected: purpose,
        got: `certificate ${depth}`,
      });
    }
    if (authority.pathLength === undefined || depth - 1 <= authority.pathLength) return passed;
    return refuse('PATH_TOO_LONG', 'expected fewer certificates below', {
      expected: String(authority.pathLength),
      got: String(depth - 1),
    });
  });
}

/** Every constraint is understood, and somebody below the root is bound in both kinds of name. */
function checkConstraints(path: Path): Step {
  const constraints = path.slice(1).flatMap((certificate) => certificate.constraints ?? []);
  if (path[0]?.constraints !== undefined || !constraints.every(({ isUnderstood }) => isUnderstood)) {
    return refuse('NAME_CONSTRAINT_UNSUPPORTED', 'expected URI, DNS and IP constraints of authorities only');
  }
  const bound = path.slice(1, -1).flatMap(({ constraints }) => (constraints?.isCritical === true ? constraints.permitted : []));
  if (bound.some(({ kind }) => kind === 'uri') && bound.some(({ kind }) => kind === 'dns')) return passed;
  return refuse('NAMES_UNCONSTRAINED', 'expected critical name constraints below the root');
}

/** Every name of every certificate is within the constraints of every authority above it. */
function checkNames(path: Path): Step {
  return firstOf(path, ({ names }, _, depth) => {
    const above = path.slice(depth + 1).flatMap(({ constraints }) => constraints ?? []);
    const unreadable = names.find((name) => !isReadable(name));
    if (unreadable !== undefined)
      return refuse('NAME_MALFORMED', 'expected plain URI and DNS names', { got: nameOf(unreadable) });
    const foreign = names.find((name) => above.some((constraints) => judgeName(name, constraints) !== 'permitted'));
    if (foreign === undefined) return passed;
    return refuse('NAME_NOT_PERMITTED', 'expected names that the issuer may give', { got: nameOf(foreign) });
  });
}

/** Only the certificate right above the leaf counts: whoever stands between it and the root could give another the same name. */
function checkPinned([, issuer]: Path, expected: Digest | undefined): Step {
  if (expected === undefined || issuer?.digest === expected) return passed;
  return refuse('ISSUER_NOT_PINNED', 'expected the issuing authority that was confirmed', {
    expected,
    got: issuer?.digest ?? 'none',
  });
}

/** Names in a hostile certificate may hold anything: escaped and cut, so that they cannot forge a line of a log. */
const nameOf = (name: Certificate['names'][number]): string => JSON.stringify(name).slice(0, 200);

function checkRevocations(path: Path, { crls, marks, at, now = at, crlAge, ignoreRevokedAfter }: PathQuestion): Step {
  const question = {
    clockMs: Date.parse(now),
    ...(marks === undefined ? {} : { marks }),
    ...(crlAge === undefined ? {} : { crlAge }),
    ignoreAfterMs: ignoreRevokedAfter === undefined ? Number.POSITIVE_INFINITY : Date.parse(ignoreRevokedAfter),
  };
  return firstOf(path, (certificate, issuer, depth) =>
    // The root is trusted by decision: removing it is how it is revoked.
    depth === path.length - 1 ? passed : checkRevocation(certificate, issuer, crls, question),
  );
}
