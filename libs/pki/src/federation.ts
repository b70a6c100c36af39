import { chmod, mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { type HostName, type SpiffeId, spiffeId, type TrustDomain } from '@carnet/events';
import { type Authority, createIntermediate, createRoot, type IssuedLeaf, issueLeaf, type Lifetime } from './authority.ts';
import type { RandomBytes } from './build-certificate.ts';
import { createCrl } from './build-crl.ts';
import { BACKDATE_MS, DEV_CRL_MS, DEV_INTERMEDIATE_MS, DEV_LEAF_MS, DEV_ROOT_MS } from './limits.ts';
import { writePem } from './pem.ts';
import type { LeafProfile } from './profiles.ts';
import { freshRsaKeys, privateKeyPem, type RsaKeyPair, type RsaKeySource } from './rsa-keys.ts';

export type FederationRequest = {
  readonly dir: string;
  readonly domains: readonly { readonly domain: TrustDomain; readonly hosts: readonly HostName[] }[];
  readonly busDomain: TrustDomain;
  readonly nowMs: number;
  readonly random: RandomBytes;
  /** `freshRsaKeys` unless a test gives others. */
  readonly keys?: RsaKeySource;
};

/** A leaf with its private key; files: `<dir>/<folder>/<name>.key` and `.pem` (leaf and intermediate). */
export type FederationLeaf = IssuedLeaf & { readonly name: string; readonly spiffeId: SpiffeId; readonly keys: RsaKeyPair };
export type FederationMember = { readonly authority: Authority; readonly leaves: ReadonlyMap<string, FederationLeaf> };
export type FederationPki = {
  readonly root: Authority;
  readonly bus: FederationMember;
  readonly members: ReadonlyMap<TrustDomain, FederationMember>;
};

type LeafPlan = {
  readonly name: string;
  readonly profile: LeafProfile;
  readonly path: string;
  readonly dnsNames: readonly string[];
};

/**
 * A whole federation for development and tests, in one process, which no real federation would do: there each CSP makes its
 * own keys. Layout (keys mode 600, root key not written: nothing more can be issued by it):
 *
 * ```
 * root.pem  crls/root.der  crls/<domain>.der  bus/{ca.pem,crl.der,server.key,server.pem,operator.key,operator.pem}
 * <domain>/{ca.pem,crl.der,broker,operator,scheduler,auditor,agent-<host>}.{key,pem}
 * ```
 */
export async function createFederationPki(of: FederationRequest): Promise<FederationPki> {
  const keys = of.keys ?? freshRsaKeys;
  const root = createRoot({
    ...lifetime(of, DEV_ROOT_MS),
    name: 'Carnet federation root',
    keys: await keys(),
    random: of.random,
  });
  const [bus, ...members] = await Promise.all([
    createMember(root, of.busDomain, busLeaves(of.busDomain), of, keys),
    ...of.domains.map(({ domain, hosts }) => createMember(root, domain, memberLeaves(domain, hosts), of, keys)),
  ]);
  const named = new Map(of.domains.flatMap(({ domain }, i) => pairOf(domain, members[i])));
  const pki: FederationPki = { root, bus, members: named };
  await writeFederation(of, pki);
  return pki;
}

const pairOf = <K, V>(key: K, value: V | undefined): readonly (readonly [K, V])[] => (value === undefined ? [] : [[key, value]]);

const lifetime = ({ nowMs }: FederationRequest, ms: number): Lifetime => ({
  notBeforeMs: nowMs - BACKDATE_MS,
  notAfterMs: nowMs + ms,
});

/** The bus has a domain of its own: whoever runs it can speak for no CSP. */
const busLeaves = (domain: TrustDomain): readonly LeafPlan[] => [
  { name: 'server', profile: 'server', path: 'server', dnsNames: [domain, `nats.${domain}`] },
  { name: 'operator', profile: 'operator', path: 'operator', dnsNames: [] },
];

const memberLeaves = (domain: TrustDomain, hosts: readonly HostName[]): readonly LeafPlan[] => [
  { name: 'broker', profile: 'broker', path: 'broker', dnsNames: [`broker.${domain}`] },
  { name: 'operator', profile: 'operator', path: 'operator', dnsNames: [] },
  { name: 'scheduler', profile: 'scheduler', path: 'scheduler', dnsNames: [] },
  { name: 'auditor', profile: 'auditor', path: 'auditor', dnsNames: [] },
  // Of the CSP's own nats-server, where it has one.
  { name: 'server', profile: 'server', path: 'server', dnsNames: [`nats.${domain}`] },
  ...hosts.map((host) => ({
    name: `agent-${host}`,
    profile: 'agent' as const,
    path: `agent/${host}`,
    dnsNames: [`${host}.${domain}`],
  })),
];

/** Keys of one CSP are made side by side: node:crypto does so on its thread pool. */
async function createMember(
  root: Authority,
  domain: TrustDomain,
  plans: readonly LeafPlan[],
  of: FederationRequest,
  source: RsaKeySource,
): Promise<FederationMember> {
  const [own, ...pairs] = await Promise.all([source(), ...plans.map(() => source())]);
  const authority = createIntermediate(root, { ...lifetime(of, DEV_INTERMEDIATE_MS), domain, keys: own, random: of.random });
  const leaves = plans.flatMap((plan, i) => pairs.slice(i, i + 1).map((keys) => issuePlanned(authority, domain, plan, keys, of)));
  return { authority, leaves: new Map(leaves.map((leaf) => [leaf.name, leaf])) };
}

function issuePlanned(
  authority: Authority,
  domain: TrustDomain,
  { name, profile, path, dnsNames }: LeafPlan,
  keys: RsaKeyPair,
  of: FederationRequest,
): FederationLeaf {
  const id = spiffeId.parse(`spiffe://${domain}/${path}`);
  const wanted = { ...lifetime(of, DEV_LEAF_MS), profile, spiffeId: id, dnsNames, publicKey: keys.publicKey, random: of.random };
  return { ...issueLeaf(authority, wanted), name, spiffeId: id, keys };
}

async function writeFederation(of: FederationRequest, pki: FederationPki): Promise<void> {
  await mkdir(join(of.dir, 'crls'), { recursive: true });
  await writeFile(join(of.dir, 'root.pem'), writePem('CERTIFICATE', pki.root.certificate));
  await writeFile(join(of.dir, 'crls', 'root.der'), emptyCrl(of, pki.root));
  await writeMember(of, 'bus', of.busDomain, pki.bus);
  for (const [domain, member] of pki.members) await writeMember(of, domain, domain, member);
}

async function writeMember(of: FederationRequest, folder: string, domain: TrustDomain, member: FederationMember): Promise<void> {
  const dir = join(of.dir, folder);
  await mkdir(dir, { recursive: true });
  const crl = emptyCrl(of, member.authority);
  await writeFile(join(dir, 'ca.pem'), writePem('CERTIFICATE', member.authority.certificate));
  await writeFile(join(dir, 'crl.der'), crl);
  await writeFile(join(of.dir, 'crls', `${domain}.der`), crl);
  for (const leaf of member.leaves.values()) {
    const keyFile = join(dir, `${leaf.name}.key`);
    await writeFile(keyFile, privateKeyPem(leaf.keys.privateKey), { mode: 0o600 });
    // An older file keeps its mode when it is written again.
    await chmod(keyFile, 0o600);
    await writeFile(join(dir, `${leaf.name}.pem`), leaf.pem);
  }
}

/** Validation fails closed, so even a list of nobody must exist. */
const emptyCrl = ({ nowMs }: FederationRequest, authority: Authority): Uint8Array =>
  createCrl(authority, { number: 1, thisUpdateMs: nowMs - BACKDATE_MS, nextUpdateMs: nowMs + DEV_CRL_MS, revoked: [] });
