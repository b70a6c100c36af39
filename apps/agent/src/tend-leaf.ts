import type { Timestamp } from '@carnet/events';
import type { Log } from '@carnet/hypervisor';
import { estIssuer, freshRsaKeys, type LiveLeaf, renew, type TlsMaterial, type TrustStore, tendLeaf } from '@carnet/pki';
import type { BusService } from './bus.ts';
import type { AgentConfig } from './config.ts';

/** Of the leaf of now, whenever it is asked. */
export const tlsOf = (leaf: LiveLeaf, store: () => TrustStore, now: () => Timestamp): TlsMaterial => ({
  store,
  now,
  get keyPem() {
    return leaf.keyPem;
  },
  get chainPem() {
    return leaf.certificatePem;
  },
});

/** Renews the agent's leaf in time. A new one is introduced by a hello, before any answer is signed by it. */
export function tendAgentLeaf(
  config: Pick<AgentConfig, 'domain' | 'identity' | 'renewal'>,
  leaf: LiveLeaf,
  tls: TlsMaterial,
  service: Pick<BusService, 'greet'>,
  log: Log,
): { readonly stop: () => Promise<void> } {
  const url = config.renewal?.url;
  const ports = { files: config.identity, leaf: leaf.current, store: tls.store, now: tls.now, keys: freshRsaKeys };
  return tendLeaf({
    leaf,
    nowMs: Date.now,
    ...(url === undefined
      ? {}
      : { renew: () => renew({ ...ports, ask: estIssuer({ url, domain: config.domain, material: tls }) }) }),
    changed: () => {
      void service.greet();
      const notAfter = new Date(leaf.validity().notAfterMs).toISOString();
      log.info({ leaf: leaf.signer.keyid, notAfter }, 'a new certificate is in use');
    },
    failed: ({ code, text, got }) => log.error({ code, got }, `the certificate was not renewed: ${text}`),
  });
}
