import { createHash, createPrivateKey, randomBytes } from 'node:crypto';
import { tmpdir, userInfo } from 'node:os';
import { join } from 'node:path';
import {
  dsseEnvelope,
  type Evidence,
  type EvidenceKind,
  hostName,
  PAYLOAD_TYPES,
  type PinnedAgent,
  type SignedEvidence,
  type Timestamp,
  type TrustDomain,
  timestamp,
  trustDomain,
} from '@carnet/events';
import {
  createFederationPki,
  type FederationLeaf,
  type FederationPki,
  leafSigner,
  readPem,
  rememberedRsaKeys,
} from '@carnet/pki';
import type { MigrationState, Side } from '@carnet/saga';
import { ed25519Signer, type Signer, signEnvelope } from '@carnet/trust';

export const CSP_A: TrustDomain = trustDomain.parse('csp-a.example');
export const CSP_B: TrustDomain = trustDomain.parse('csp-b.example');
export const HOST = hostName.parse('host-1');
export const BEGIN_MS = Date.parse('2026-11-23T10:00:00.000Z');
export const timeAt = (ms: number): Timestamp => timestamp.parse(new Date(ms).toISOString());

/** Two CSPs with real keys, certificates and lists in a directory of their own. */
export type Federation = { readonly dir: string; readonly pki: FederationPki; readonly beginMs: number };

/** `beginMs`: of its story. Whoever shakes hands under these certificates needs one of today: OpenSSL asks the machine's clock. */
export async function createFederation(dir: string, beginMs = BEGIN_MS): Promise<Federation> {
  const keys = rememberedRsaKeys(join(tmpdir(), `carnet-test-keys-${userInfo().uid}`));
  const domains = [CSP_A, CSP_B].map((domain) => ({ domain, hosts: [HOST] }));
  const pki = await createFederationPki({
    dir,
    domains,
    busDomain: trustDomain.parse('bus.example'),
    nowMs: beginMs - 3_600_000,
    random: randomBytes,
    keys,
  });
  return { dir, pki, beginMs };
}

export function leafOf({ pki }: Federation, domain: TrustDomain, name: string): FederationLeaf {
  const leaf = pki.members.get(domain)?.leaves.get(name);
  if (leaf === undefined) throw new Error(`no leaf ${name} of ${domain}`);
  return leaf;
}

export const base64 = (bytes: Uint8Array): string => Buffer.from(bytes).toString('base64');
export const chainOf = (leaf: FederationLeaf): string[] => readPem(leaf.pem, 'CERTIFICATE').map(base64);
export const signerOf = (leaf: FederationLeaf): Signer =>
  leafSigner(leaf.keys.privateKey, readPem(leaf.pem, 'CERTIFICATE')[0] ?? new Uint8Array());

/** An event key made from a word: tests replay to the byte. */
export function eventKey(word: string): ReturnType<typeof ed25519Signer> {
  const seed = createHash('sha256').update(`audit test ${word}`).digest();
  const der = Buffer.concat([Buffer.from('302e020100300506032b657004220420', 'hex'), seed]);
  return ed25519Signer(createPrivateKey({ key: der, format: 'der', type: 'pkcs8' }));
}

export const agentOf = (federation: Federation, domain: TrustDomain): PinnedAgent => ({
  host: HOST,
  chain: chainOf(leafOf(federation, domain, 'agent-host-1')),
});

/** What the agent of a side says of its host. `changed` is signed, too: for agents that lie. */
export function testimony(
  federation: Federation,
  m: MigrationState,
  side: Side,
  kind: EvidenceKind,
  time: Timestamp,
  changed: Partial<Evidence> = {},
): SignedEvidence {
  const said: Evidence = {
    kind,
    domain: m[side],
    host: HOST,
    vm: m.vm,
    migration: m.id,
    epoch: m.epoch,
    time,
    facts: {},
    ...changed,
  };
  const bytes = signEnvelope(
    PAYLOAD_TYPES.evidence,
    Buffer.from(JSON.stringify(said)),
    signerOf(leafOf(federation, m[side], 'agent-host-1')),
  );
  return dsseEnvelope.parse(JSON.parse(Buffer.from(bytes).toString('utf8')));
}
