import { join } from 'node:path';
import { hostName, type TrustDomain, trustDomain } from '@carnet/events';

/** One CSP of a development federation: its trust domain, its Unix user and its one host. */
export type CspPlan = {
  /** The demonstration has two; tests know a third. */
  readonly key: 'a' | 'b' | 'c';
  readonly domain: TrustDomain;
  readonly user: string;
  readonly hostUuid: string;
};

export const HOST = hostName.parse('hv1');
export const BUS_DOMAIN = trustDomain.parse('bus.example');
/** The bus belongs to neither CSP: a Unix user that neither is. */
export const BUS_USER = 'nobody';
export const BUS_SERVER_NAME = `nats.${BUS_DOMAIN}`;

export const CSP_A: CspPlan = {
  key: 'a',
  domain: trustDomain.parse('csp-a.example'),
  user: 'carnet-a',
  hostUuid: '0a0a0a0a-aaaa-4aaa-8aaa-00000000000a',
};
export const CSP_B: CspPlan = {
  key: 'b',
  domain: trustDomain.parse('csp-b.example'),
  user: 'carnet-b',
  hostUuid: '0b0b0b0b-bbbb-4bbb-8bbb-00000000000b',
};

/** Where everything of one CSP lies: its own directory, mode 700, so that the kernel keeps the two apart. */
export function cspPaths(root: string, { key }: CspPlan) {
  const home = join(root, key);
  const under = (...names: readonly string[]): string => join(home, ...names);
  return {
    home,
    pki: under('pki'),
    crls: under('pki', 'crls'),
    database: under('pg'),
    host: under('hv'),
    agentState: under('agent'),
    volumes: under('vol'),
    images: under('img'),
    imports: under('imp'),
    boot: under('boot'),
    brokerState: under('broker'),
    brokerConfig: under('broker.toml'),
    agentConfig: under('agent.toml'),
    consoleConfig: under('console.toml'),
    policy: under('policy'),
    eventKey: under('pki', 'event.key'),
    passphrase: under('pki', 'passphrase'),
    keyRoot: under('broker', 'keys.sealed'),
    brokerLog: under('broker.log'),
    agentLog: under('agent.log'),
    consoleLog: under('console.log'),
    context: (who: string): string => under(`${who}.toml`),
  } as const;
}
export type CspPaths = ReturnType<typeof cspPaths>;
