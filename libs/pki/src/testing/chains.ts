import { generateKeyPairSync, randomBytes } from 'node:crypto';
import { tmpdir, userInfo } from 'node:os';
import { join } from 'node:path';
import { type SpiffeId, spiffeId, type Timestamp, type TrustDomain, timestamp, trustDomain } from '@carnet/events';
import { type Authority, createIntermediate, createRoot, issuerKeyId } from '../authority.ts';
import { buildCertificate, type RandomBytes } from '../build-certificate.ts';
import { createCrl, type Revocation } from '../build-crl.ts';
import { authorityKey, type ExtensionField, leafExtensions, subjectKey, subjectNames } from '../extension-fields.ts';
import { type RsaKeyPair, rememberedRsaKeys } from '../rsa-keys.ts';

// Chains for tests, good and bad. Issuing refuses to make most bad ones, so they are laid out field by field.

export const HOUR_MS = 3_600_000;
/** The machine's own time, in whole seconds: OpenSSL inside a handshake knows no other. */
export const NOW_MS = Math.floor(Date.now() / 1_000) * 1_000;
export const timeAt = (ms: number): Timestamp => timestamp.parse(new Date(ms).toISOString());
export const NOW = timeAt(NOW_MS);

export const domainA: TrustDomain = trustDomain.parse('csp-a.example');
export const domainB: TrustDomain = trustDomain.parse('csp-b.example');
export const idOf = (domain: string, path = 'broker'): SpiffeId => spiffeId.parse(`spiffe://${domain}/${path}`);

export const random: RandomBytes = (n) => randomBytes(n);
/** Keys are made once per machine: see the warning at `rememberedRsaKeys`. */
export const testKeys = () => rememberedRsaKeys(join(tmpdir(), `carnet-test-keys-${userInfo().uid}`));
export const weakKeys = (modulusLength: number): RsaKeyPair => generateKeyPairSync('rsa', { modulusLength });

export const base64 = (der: Uint8Array): string => Buffer.from(der).toString('base64');

const day = { notBeforeMs: NOW_MS - 24 * HOUR_MS, notAfterMs: NOW_MS + 24 * HOUR_MS };

export type LeafPlan = {
  readonly issuer: Authority;
  readonly keys: RsaKeyPair;
  readonly name?: string;
  /** Instead of those of a broker of the issuer's domain. */
  readonly use?: readonly ExtensionField[];
  readonly names?: ExtensionField;
  readonly more?: readonly ExtensionField[];
  readonly without?: 'subjectKey' | 'authorityKey';
  readonly notBeforeMs?: number;
  readonly notAfterMs?: number;
};

/** Any certificate below an issuer, whatever the issuer may issue. */
export function certify(plan: LeafPlan): Uint8Array {
  const extensions = [
    ...(plan.use ?? leafExtensions('broker')),
    plan.names ?? subjectNames(idOf(plan.issuer.domain ?? domainA), [`broker.${plan.issuer.domain}`]),
    ...(plan.more ?? []),
    ...(plan.without === 'subjectKey' ? [] : [subjectKey(plan.keys.publicKey)]),
    ...(plan.without === 'authorityKey' ? [] : [authorityKey(issuerKeyId(plan.issuer))]),
  ];
  const { issuer, keys } = plan;
  const fields = { ...day, ...plan, subject: plan.name ?? 'a leaf', issuer: issuer.name, publicKey: keys.publicKey, extensions };
  return buildCertificate(fields, issuer.keys.privateKey, random);
}

/** A CRL that is good for a day, listing these serial numbers. */
export const crlOf = (authority: Authority, revoked: readonly Revocation[] = [], number = 1): Uint8Array =>
  createCrl(authority, { number, thisUpdateMs: day.notBeforeMs, nextUpdateMs: day.notAfterMs, revoked });

export type World = {
  readonly root: Authority;
  readonly a: Authority;
  readonly b: Authority;
  readonly leafKeys: RsaKeyPair;
  readonly otherKeys: RsaKeyPair;
};

/** One root, two CSPs, and keys for leaves. */
export async function createWorld(): Promise<World> {
  const source = testKeys();
  const keys = { root: await source(), a: await source(), b: await source(), leaf: await source(), other: await source() };
  const root = createRoot({ ...day, name: 'Test root', keys: keys.root, random });
  const intermediate = (domain: TrustDomain, pair: RsaKeyPair) =>
    createIntermediate(root, { ...day, domain, keys: pair, random });
  return { root, a: intermediate(domainA, keys.a), b: intermediate(domainB, keys.b), leafKeys: keys.leaf, otherKeys: keys.other };
}
