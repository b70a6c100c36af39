import { createHash, randomBytes } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir, userInfo } from 'node:os';
import { join } from 'node:path';
import { type HostName, hostName, type TrustDomain, timestamp, trustDomain } from '@carnet/events';
import type { ChainValidator, Signing } from '@carnet/journal';
import { createFederationPki, leafSigner, rememberedRsaKeys } from '@carnet/pki';
import { ed25519Signer, ed25519Verifier, type Signer, sha256Hex, type Verifier } from '@carnet/trust';
import { EPOCH_MS } from './scheduler.ts';

export const DOMAINS = ['csp-a.example', 'csp-b.example', 'csp-c.example'].map((domain) => trustDomain.parse(domain));
export const hostOf = (domain: TrustDomain): HostName => hostName.parse(`host-${domain.charAt(4)}`);

const PKCS8 = Buffer.from('302e020100300506032b657004220420', 'hex');
/** Keys follow from names: the same in each run of each machine. */
export const keyOf = (name: string): Buffer => Buffer.concat([PKCS8, createHash('sha256').update(name).digest()]);

export type Identity = {
  readonly domain: TrustDomain;
  readonly signing: Signing;
  readonly command: { readonly signer: Signer; readonly verifier: Verifier };
  readonly agent: { readonly chain: readonly string[]; readonly signer: Signer };
};

/** One federation for all runs of a process: agents' certificates are real, since evidence is judged by them. */
export async function makeIdentities(): Promise<ReadonlyMap<TrustDomain, Identity>> {
  const dir = await mkdtemp(join(tmpdir(), 'carnet-simulate-'));
  const pki = await createFederationPki({
    dir,
    domains: DOMAINS.map((domain) => ({ domain, hosts: [hostOf(domain)] })),
    busDomain: trustDomain.parse('bus.example'),
    nowMs: EPOCH_MS,
    random: randomBytes,
    keys: rememberedRsaKeys(join(tmpdir(), `carnet-test-keys-${userInfo().uid}`)),
  });
  await rm(dir, { recursive: true });
  return new Map(
    DOMAINS.map((domain) => {
      const leaf = pki.members.get(domain)?.leaves.get(`agent-${hostOf(domain)}`);
      if (leaf === undefined) throw new Error(`no agent of ${domain}`);
      const event = ed25519Signer(keyOf(`events of ${domain}`));
      const broker = ed25519Signer(keyOf(`broker of ${domain}`));
      const signer: Signer = { keyid: sha256Hex(Buffer.from(domain)), sign: broker.sign };
      const verifier = ed25519Verifier(broker.publicKey);
      const introduction = {
        chain: [Buffer.from(domain).toString('base64')],
        signer,
        notBefore: timestamp.parse('2026-01-01T00:00:00.000Z'),
      };
      return [
        domain,
        {
          domain,
          signing: { signer: event, introduction },
          command: { signer, verifier },
          agent: {
            chain: [Buffer.from(leaf.certificate).toString('base64')],
            signer: leafSigner(leaf.keys.privateKey, leaf.certificate),
          },
        },
      ];
    }),
  );
}

export const chainValidator =
  (identities: ReadonlyMap<TrustDomain, Identity>): ChainValidator =>
  (chain, domain) => {
    const known = identities.get(domain);
    return known !== undefined && chain[0] === known.signing.introduction.chain[0]
      ? { ok: true, value: { spkiVerifier: known.command.verifier } }
      : { ok: false, code: 'DOMAIN_MISMATCH', text: `expected a chain of ${domain}` };
  };
