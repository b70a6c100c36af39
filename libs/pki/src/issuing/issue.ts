import { X509Certificate } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { type SpiffeId, type TrustDomain, timestamp } from '@carnet/events';
import { accept, type Checked, refuse, sha256Hex } from '@carnet/trust';
import { type Authority, certifyIntermediate, type IssuedLeaf, issueLeaf } from '../authority.ts';
import type { RandomBytes } from '../build-certificate.ts';
import { createCrl, type RevocationReason } from '../build-crl.ts';
import { readCertificate } from '../certificate.ts';
import type { PkiCode } from '../codes.ts';
import { readCrl } from '../crl.ts';
import { PkiError } from '../error.ts';
import { BACKDATE_MS } from '../limits.ts';
import type { SubjectName } from '../names.ts';
import { idFitsProfile, type LeafProfile } from '../profiles.ts';
import type { CertificateRequest } from '../request.ts';
import { alone, authorityPaths, writeDurably } from './authority-files.ts';
import { appendRegister, type IssuedLine, readRegister } from './register.ts';

/** An authority at work in its directory. */
export type Office = {
  readonly dir: string;
  readonly authority: Authority;
  readonly nowMs: () => number;
  readonly random: RandomBytes;
};

/** Who a leaf shall name: said by whoever answers for it, never taken from the request. */
export type LeafWish = {
  readonly profile: LeafProfile;
  readonly spiffeId: SpiffeId;
  readonly dnsNames: readonly string[];
  readonly lifeMs: number;
};

const time = (ms: number) => timestamp.parse(new Date(ms).toISOString());

/** Peers' clocks differ; a short life is not given away to that. */
const lifetimeOf = (nowMs: number, lifeMs: number) => ({
  notBeforeMs: nowMs - Math.min(BACKDATE_MS, Math.floor(lifeMs / 10)),
  notAfterMs: nowMs + lifeMs,
});

/** The root signs a CSP's request: bound to the domain that the operator names, whatever the request asks for. */
export function signIssuer(
  { dir, authority, nowMs, random }: Office,
  request: CertificateRequest,
  { domain, lifeMs }: { readonly domain: TrustDomain; readonly lifeMs: number },
): Uint8Array {
  if (authority.domain !== undefined)
    throw new PkiError('OUTSIDE_DOMAIN', 'expected the root: an issuing authority signs leaves only');
  return alone(dir, () => {
    const lifetime = lifetimeOf(nowMs(), lifeMs);
    if (lifetime.notAfterMs > authority.notAfterMs)
      throw new PkiError('OUTLIVES_ISSUER', 'expected an authority that ends before its root');
    const certificate = certifyIntermediate(authority, { ...lifetime, domain, publicKey: request.publicKey, random });
    record(dir, certificate, { profile: 'issuer', domain }, lifeMs);
    return certificate;
  });
}

/** A leaf for a request that its operator vouches for. A request may ask for no name that it does not get. */
export function signLeaf(office: Office, request: CertificateRequest, wish: LeafWish): Checked<IssuedLeaf, PkiCode> {
  const { authority } = office;
  if (!idFitsProfile(wish.profile, wish.spiffeId))
    return refuse('PROFILE_MISMATCH', `expected an id of a ${wish.profile}`, { got: wish.spiffeId });
  const foreign = foreignName(authority, wish);
  if (foreign !== undefined)
    return refuse('NAME_NOT_PERMITTED', 'expected names of the authority’s own domain', { got: foreign });
  const asked = request.names.find((name) => !isGranted(name, wish));
  if (asked !== undefined)
    return refuse('CSR_NAME_MISMATCH', 'expected a request for the names that are given', {
      expected: [wish.spiffeId, ...wish.dnsNames].join(' '),
      got: JSON.stringify(asked).slice(0, 200),
    });
  return alone(office.dir, () => accept(certify(office, request, wish)));
}

function foreignName({ domain }: Authority, { spiffeId, dnsNames }: LeafWish): string | undefined {
  if (domain === undefined || !spiffeId.startsWith(`spiffe://${domain}/`)) return spiffeId;
  return dnsNames.find((name) => name !== domain && !name.endsWith(`.${domain}`));
}

const isGranted = (name: SubjectName, { spiffeId, dnsNames }: LeafWish): boolean =>
  (name.kind === 'uri' && name.text === spiffeId) || (name.kind === 'dns' && dnsNames.includes(name.text));

/** Inside the lock. Recorded before it is given out: what nobody knows of cannot be revoked. */
function certify({ dir, authority, nowMs, random }: Office, request: CertificateRequest, wish: LeafWish): IssuedLeaf {
  const { profile, spiffeId, dnsNames, lifeMs } = wish;
  const wanted = lifetimeOf(nowMs(), lifeMs);
  const lifetime = { ...wanted, notAfterMs: Math.min(wanted.notAfterMs, authority.notAfterMs) };
  const leaf = issueLeaf(authority, { ...lifetime, profile, spiffeId, dnsNames, publicKey: request.publicKey, random });
  record(dir, leaf.certificate, { profile, spiffeId, dnsNames }, lifeMs);
  return leaf;
}

function record(dir: string, der: Uint8Array, what: IssuedLine['what'], lifeMs: number): void {
  const read = readCertificate(der);
  if (!read.ok) throw new Error(`impossible: our own certificate is not readable: ${read.text}`);
  const { serial, digest, notBeforeMs, notAfterMs } = read.value;
  const key = keyDigest(der);
  const validity = { notBefore: time(notBeforeMs), notAfter: time(notAfterMs) };
  appendRegister(dir, { kind: 'issued', serial, digest, key, what, ...validity, lifeMs });
}

const spkiDigest = (key: CertificateRequest['publicKey']) => sha256Hex(key.export({ format: 'der', type: 'spki' }));
const keyDigest = (der: Uint8Array) => spkiDigest(new X509Certificate(der).publicKey);

/**
 * A new leaf in place of one that is still good: the same names, profile and length of life, another key. Who asks is known by the
 * old leaf, which the caller has judged; what is given is what the register says of that leaf.
 *
 * @param held DER of the leaf that whoever asks has proven to hold
 */
export function renewLeaf(office: Office, request: CertificateRequest, held: Uint8Array): Checked<IssuedLeaf, PkiCode> {
  const { dir } = office;
  const register = readRegister(dir);
  const digest = sha256Hex(held);
  const line = register.issued.find((one) => one.digest === digest);
  if (line === undefined || line.what.profile === 'issuer')
    return refuse('CERTIFICATE_UNKNOWN', 'expected a leaf that this authority issued', { got: digest });
  if (register.revoked.has(line.serial)) return refuse('REVOKED', 'expected a leaf that is not revoked', { got: line.serial });
  if (Date.parse(line.notAfter) <= office.nowMs())
    return refuse('EXPIRED', 'expected a leaf that has not ended', { got: line.notAfter });
  const key = spkiDigest(request.publicKey);
  if (register.issued.some((one) => one.key === key)) return refuse('RENEWAL_KEY_REUSED', 'expected a new key', { got: key });
  return signLeaf(office, request, { ...line.what, lifeMs: line.lifeMs });
}

/** Revokes for ever, and makes the list that says so. */
export function revokeCertificate(
  office: Office,
  { serial, reason, crlMs }: { readonly serial: string; readonly reason: RevocationReason; readonly crlMs: number },
): Checked<Uint8Array, PkiCode> {
  const { dir, nowMs } = office;
  const done = alone(dir, (): Checked<null, PkiCode> => {
    const { issued, revoked } = readRegister(dir);
    if (!issued.some((one) => one.serial === serial))
      return refuse('CERTIFICATE_UNKNOWN', 'expected a serial number of the register', { got: serial.slice(0, 64) });
    if (revoked.has(serial)) return refuse('ALREADY_REVOKED', 'expected a certificate that was not revoked', { got: serial });
    appendRegister(dir, { kind: 'revoked', serial, at: time(nowMs()), reason });
    return accept(null);
  });
  return done.ok ? accept(makeCrl(office, crlMs)) : done;
}

/**
 * A new CRL in `<dir>/crl.der`. Its number is above every one before, and at least the time in seconds: so it does not go back where
 * the directory was restored from a backup (RFC 5280, section 5.2.3).
 */
export function makeCrl({ dir, authority, nowMs }: Office, crlMs: number): Uint8Array {
  return alone(dir, () => {
    const { revoked, crlNumber } = readRegister(dir);
    const number = Math.max(crlNumber, publishedNumber(dir), Math.floor(nowMs() / 1_000) - 1) + 1;
    const nextUpdateMs = nowMs() + crlMs;
    appendRegister(dir, { kind: 'crl', number, nextUpdate: time(nextUpdateMs) });
    const crl = createCrl(authority, {
      number,
      thisUpdateMs: nowMs() - Math.min(BACKDATE_MS, Math.floor(crlMs / 10)),
      nextUpdateMs,
      revoked: [...revoked.values()].map((one) => ({ serial: one.serial, atMs: Date.parse(one.at), reason: one.reason })),
    });
    writeDurably(authorityPaths(dir).crl, crl, 0o644);
    return crl;
  });
}

function publishedNumber(dir: string): number {
  try {
    const crl = readCrl(Uint8Array.from(readFileSync(authorityPaths(dir).crl)));
    return crl.ok ? Number(crl.value.number) : 0;
  } catch {
    // The first.
    return 0;
  }
}
