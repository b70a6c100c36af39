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
import { createFederationPki, leafSigner, rememberedRsaKeys, type TrustStore } from '@carnet/pki';
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
    signRequest: (domain: TrustDomain, name: string, said: object): SignedEvidence =>
      enveloped(PAYLOAD_TYPES.request, said, leafOf(domain, name).signer),
  };
}
export type Certified = Awaited<ReturnType<typeof certified>>;

const enveloped = (type: string, said: object, signer: Parameters<typeof signEnvelope>[2]): SignedEvidence =>
  dsseEnvelope.parse(JSON.parse(Buffer.from(signEnvelope(type, Buffer.from(JSON.stringify(said)), signer)).toString()));
