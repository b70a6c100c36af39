import { randomBytes } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir, userInfo } from 'node:os';
import { join } from 'node:path';
import { hostName, type TrustDomain, trustDomain } from '@carnet/events';
import { createFederationPki, rememberedRsaKeys } from '@carnet/pki';

export const [A, B] = [trustDomain.parse('csp-a.example'), trustDomain.parse('csp-b.example')];
export const HOST = hostName.parse('h1');
export const keySource = rememberedRsaKeys(join(tmpdir(), `carnet-test-keys-${userInfo().uid}`));

/** The certificates of two CSPs with a host each, in a folder of their own. `remove` for `afterAll`. */
export async function twoCsps(name: string) {
  const dir = mkdtempSync(join(tmpdir(), `carnet-${name}-`));
  const pki = await createFederationPki({
    dir,
    domains: [A, B].map((domain) => ({ domain, hosts: [HOST] })),
    busDomain: trustDomain.parse('bus.example'),
    nowMs: Date.now(),
    random: randomBytes,
    keys: keySource,
  });
  const member = (domain: TrustDomain) => {
    const found = pki.members.get(domain);
    if (found === undefined) throw new Error('no member');
    return found;
  };
  return { dir, pki, member, remove: (): void => rmSync(dir, { recursive: true }) };
}
