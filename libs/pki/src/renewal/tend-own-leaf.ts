import type { TrustDomain } from '@carnet/events';
import type { Refusal } from '@carnet/trust';
import type { PkiCode } from '../codes.ts';
import { freshRsaKeys } from '../rsa-keys.ts';
import type { TlsMaterial } from '../tls.ts';
import { estIssuer } from './ask-issuer.ts';
import type { LeafFiles } from './leaf-pair.ts';
import type { LiveLeaf } from './live-leaf.ts';
import { renew } from './renew.ts';
import { tendLeaf } from './tend-leaf.ts';

/** A daemon's leaf. `url`: of its CSP's issuing service; absent: something else replaces the files. */
export type OwnLeafPorts = {
  readonly leaf: LiveLeaf;
  readonly files: LeafFiles;
  readonly domain: TrustDomain;
  readonly url: string | undefined;
  readonly tls: TlsMaterial;
  readonly nowMs: () => number;
  /** Before anything is signed by it. */
  readonly changed: () => void;
  readonly log: {
    readonly info: (about: object, said: string) => void;
    readonly error: (about: object, said: string) => void;
  };
};

/** Renews it in time at the issuing service, under itself, and says so. */
export function tendOwnLeaf(ports: OwnLeafPorts): { readonly stop: () => Promise<void> } {
  const { leaf, files, domain, url, tls, log } = ports;
  const { store, now } = tls;
  const asking = { files, leaf: leaf.current, store, now, keys: freshRsaKeys };
  return tendLeaf({
    leaf,
    nowMs: ports.nowMs,
    ...(url === undefined ? {} : { renew: () => renew({ ...asking, ask: estIssuer({ url, domain, material: tls }) }) }),
    changed: () => {
      ports.changed();
      const notAfter = new Date(leaf.validity().notAfterMs).toISOString();
      log.info({ leaf: leaf.signer.keyid, notAfter }, 'a new certificate is in use');
    },
    failed: ({ code, text, got }: Refusal<PkiCode>) => log.error({ code, got }, `the certificate was not renewed: ${text}`),
  });
}
