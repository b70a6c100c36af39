import { randomBytes } from 'node:crypto';
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { tmpdir, userInfo } from 'node:os';
import { join } from 'node:path';
import {
  dsseEnvelope,
  hostName,
  PAYLOAD_TYPES,
  type PinnedAgent,
  type SignedEvidence,
  type TrustDomain,
  timestamp,
  trustDomain,
} from '@carnet/events';
import {
  createCrl,
  createFederationPki,
  issueLeaf,
  type Lifetime,
  leafSigner,
  readCertificate,
  rememberedRsaKeys,
  type TrustStore,
} from '@carnet/pki';
import { signEnvelope } from '@carnet/trust';

export const A = trustDomain.parse('csp-a.example');
export const B = trustDomain.parse('csp-b.example');
export const HOST = hostName.parse('host-1');
export const NOW_MS = Date.now();
export const NOW = timestamp.parse(new Date(NOW_MS).toISOString());

/** Real certificates of two CSPs: what a forgery must not pass for. */
export async function certified() {
  const dir = await mkdtemp(join(tmpdir(), 'carnet-certified-'));
  const pki = await createFederationPki({
    dir,
    domains: [A, B].map((domain) => ({ domain, hosts: [HOST, hostName.parse('host-2')] })),
    busDomain: trustDomain.parse('bus.example'),
    nowMs: NOW_MS,
    random: randomBytes,
    keys: rememberedRsaKeys(join(tmpdir(), `carnet-test-keys-${userInfo().uid}`)),
  });
  const crls = await Promise.all((await readdir(join(dir, 'crls'))).map((name) => readFile(join(dir, 'crls', name))));
  await rm(dir, { recursive: true });
  const trust: TrustStore = { roots: [pki.root.certificate], crls };
  const leafOf = (domain: TrustDomain, name: string) => {
    const member = pki.members.get(domain);
    const leaf = member?.leaves.get(name);
    if (member === undefined || leaf === undefined) throw new Error(`no leaf ${name} of ${domain}`);
    const above = Buffer.from(member.authority.certificate).toString('base64');
    return {
      chain: [Buffer.from(leaf.certificate).toString('base64'), above],
      signer: leafSigner(leaf.keys.privateKey, leaf.certificate),
      id: leaf.spiffeId,
    };
  };
  return {
    trust,
    leafOf,
    agent: (domain: TrustDomain, host: PinnedAgent['host'] = HOST): PinnedAgent => ({
      host,
      chain: leafOf(domain, `agent-${host}`).chain,
    }),
    /** As an agent signs it; `said` need not be true. */
    testify: (domain: TrustDomain, said: object, host: PinnedAgent['host'] = HOST): SignedEvidence =>
      enveloped(PAYLOAD_TYPES.evidence, said, leafOf(domain, `agent-${host}`).signer),
    signApproval: (domain: TrustDomain, name: string, said: object): SignedEvidence =>
      enveloped(PAYLOAD_TYPES.approval, said, leafOf(domain, name).signer),
    /** A further leaf of that name, as a renewal makes it, with the evidence that it signs and comes along with. */
    renew: (domain: TrustDomain, host: PinnedAgent['host'], lifetime: Lifetime = A_DAY): Renewed => {
      const member = pki.members.get(domain);
      const before = member?.leaves.get(`agent-${host}`);
      if (member === undefined || before === undefined) throw new Error(`no agent of ${host} at ${domain}`);
      const { publicKey, privateKey } = before.keys;
      const wanted = { profile: 'agent', spiffeId: before.spiffeId, dnsNames: [`${host}.${domain}`], publicKey } as const;
      const leaf = issueLeaf(member.authority, { ...wanted, ...lifetime, random: randomBytes });
      return {
        chain: leaf.chain,
        serial: serialOf(leaf.certificate),
        testify: (said) => ({
          ...enveloped(PAYLOAD_TYPES.evidence, said, leafSigner(privateKey, leaf.certificate)),
          certificate: Buffer.from(leaf.certificate).toString('base64'),
        }),
      };
    },
    serialOf: (leaf: string): string => serialOf(Buffer.from(leaf, 'base64')),
    /** The trust store once that CSP has revoked leaves by serial. */
    revoking: (domain: TrustDomain, serial: string, atMs: number): TrustStore => {
      const authority = pki.members.get(domain)?.authority;
      if (authority === undefined) throw new Error(`no authority of ${domain}`);
      const revoked = [{ serial, atMs, reason: 'superseded' }] as const;
      const list = createCrl(authority, { number: 99, thisUpdateMs: NOW_MS, nextUpdateMs: NOW_MS + HOUR_MS, revoked });
      return { ...trust, crls: [...crls, Buffer.from(list)] };
    },
    signRequest: (domain: TrustDomain, name: string, said: object): SignedEvidence =>
      enveloped(PAYLOAD_TYPES.request, said, leafOf(domain, name).signer),
  };
}
function serialOf(der: Uint8Array): string {
  const certificate = readCertificate(der);
  if (!certificate.ok) throw new Error(certificate.text);
  return certificate.value.serial;
}

/** A leaf beside the pinned one. */
export interface Renewed {
  readonly chain: readonly string[];
  readonly serial: string;
  readonly testify: (said: object) => SignedEvidence;
}
const HOUR_MS = 3_600_000;
const A_DAY: Lifetime = { notBeforeMs: NOW_MS - HOUR_MS / 12, notAfterMs: NOW_MS + 24 * HOUR_MS };

export type Certified = Awaited<ReturnType<typeof certified>>;

const enveloped = (type: string, said: object, signer: Parameters<typeof signEnvelope>[2]): SignedEvidence =>
  dsseEnvelope.parse(JSON.parse(Buffer.from(signEnvelope(type, Buffer.from(JSON.stringify(said)), signer)).toString()));
