import { type SpiffeId, type TrustDomain, timestamp } from '@carnet/events';
import { accept, type Checked, refuse, sha256Hex } from '@carnet/trust';
import { type Authority, certifyIntermediate, type IssuedLeaf, issueLeaf } from '../authority.ts';
import type { RandomBytes } from '../build-certificate.ts';
import { readCertificate } from '../certificate.ts';
import type { PkiCode } from '../codes.ts';
import { PkiError } from '../error.ts';
import { BACKDATE_MS } from '../limits.ts';
import type { SubjectName } from '../names.ts';
import { idFitsProfile, type LeafProfile } from '../profiles.ts';
import type { CertificateRequest } from '../request.ts';
import { alone } from './authority-files.ts';
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

export const time = (ms: number) => timestamp.parse(new Date(ms).toISOString());

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
    readRegister(dir);
    const lifetime = lifetimeOf(nowMs(), lifeMs);
    if (lifetime.notAfterMs > authority.notAfterMs)
      throw new PkiError('OUTLIVES_ISSUER', 'expected an authority that ends before its root');
    const certificate = certifyIntermediate(authority, { ...lifetime, domain, publicKey: request.publicKey, random });
    record(dir, certificate, { what: { profile: 'issuer', domain }, lifeMs });
    return certificate;
  });
}

/** A leaf for a request that its operator vouches for. */
export function signLeaf(office: Office, request: CertificateRequest, wish: LeafWish): Checked<IssuedLeaf, PkiCode> {
  const fit = checkWish(office, request, wish);
  if (!fit.ok) return fit;
  return alone(office.dir, () => {
    // Whole, or nothing is signed.
    readRegister(office.dir);
    return accept(certify(office, request.publicKey, wish));
  });
}

/** Names of this domain, which fit the profile; and a request may ask for no name that it does not get. */
export function checkWish({ authority }: Office, request: CertificateRequest, wish: LeafWish): Checked<null, PkiCode> {
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
  return accept(null);
}

function foreignName({ domain }: Authority, { spiffeId, dnsNames }: LeafWish): string | undefined {
  if (domain === undefined || !spiffeId.startsWith(`spiffe://${domain}/`)) return spiffeId;
  return dnsNames.find((name) => name !== domain && !name.endsWith(`.${domain}`));
}

const isGranted = (name: SubjectName, { spiffeId, dnsNames }: LeafWish): boolean =>
  (name.kind === 'uri' && name.text === spiffeId) || (name.kind === 'dns' && dnsNames.includes(name.text));

/** Inside the lock. Recorded before it is given out: what nobody knows of cannot be revoked. */
export function certify(
  { dir, authority, nowMs, random }: Office,
  publicKey: CertificateRequest['publicKey'],
  { profile, spiffeId, dnsNames, lifeMs }: LeafWish,
  renews?: IssuedLine['renews'],
): IssuedLeaf {
  const wanted = lifetimeOf(nowMs(), lifeMs);
  const lifetime = { ...wanted, notAfterMs: Math.min(wanted.notAfterMs, authority.notAfterMs) };
  const leaf = issueLeaf(authority, { ...lifetime, profile, spiffeId, dnsNames, publicKey, random });
  record(dir, leaf.certificate, { what: { profile, spiffeId, dnsNames }, lifeMs, ...(renews === undefined ? {} : { renews }) });
  return leaf;
}

function record(dir: string, der: Uint8Array, of: Pick<IssuedLine, 'what' | 'lifeMs' | 'renews'>): void {
  const read = readCertificate(der);
  if (!read.ok) throw new Error(`impossible: our own certificate is not readable: ${read.text}`);
  const { serial, digest, notBeforeMs, notAfterMs, publicKey } = read.value;
  const validity = { notBefore: time(notBeforeMs), notAfter: time(notAfterMs) };
  appendRegister(dir, [{ kind: 'issued', serial, digest, key: spkiDigest(publicKey), ...validity, ...of }]);
}

export const spkiDigest = (key: CertificateRequest['publicKey']) => sha256Hex(key.export({ format: 'der', type: 'spki' }));
