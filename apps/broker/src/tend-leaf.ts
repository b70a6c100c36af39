import { estIssuer, freshRsaKeys, renew, tendLeaf } from '@carnet/pki';
import type { Ground } from './ground.ts';
import type { Doors } from './http/open-doors.ts';

/** Renews the broker's leaf in time, and takes a new one into use everywhere at once, whoever put it there. */
export function tendBrokerLeaf(
  { config, identity, tls, trust, now, nowMs, log }: Ground,
  doors: Pick<Doors, 'refresh'>,
  tellHosts: () => void,
): { readonly stop: () => Promise<void> } {
  const { leaf } = identity;
  const url = config.renewal?.url;
  const ports = { files: config.identity, leaf: leaf.current, store: trust, now, keys: freshRsaKeys };
  return tendLeaf({
    leaf,
    nowMs,
    ...(url === undefined
      ? {}
      : { renew: () => renew({ ...ports, ask: estIssuer({ url, domain: config.domain, material: tls }) }) }),
    changed: () => {
      // Before anything else is signed by it.
      tellHosts();
      doors.refresh();
      const notAfter = new Date(leaf.validity().notAfterMs).toISOString();
      log.info({ leaf: leaf.signer.keyid, notAfter }, 'a new certificate is in use');
    },
    failed: ({ code, text, got }) => log.error({ code, got }, `the certificate was not renewed: ${text}`),
  });
}
