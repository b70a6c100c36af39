import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { timestamp } from '@carnet/events';
import { askRevocation, estIssuer, freshRsaKeys, openLeaf, readPem, renew, type TrustStore, validatePath } from '@carnet/pki';
import { ruled } from './authority-run.ts';

export { mistakesSaid } from './authority-run.ts';

export interface RenewHere {
  readonly certificate: string;
  readonly key: string;
  readonly root: string;
  readonly crls: string;
  readonly issuer: string;
}

function identityOf(of: RenewHere, nowMs: () => number) {
  const files = { certificateFile: of.certificate, keyFile: of.key };
  const leaf = openLeaf(files, nowMs);
  const now = () => timestamp.parse(new Date(nowMs()).toISOString());
  const trust: TrustStore = {
    roots: readPem(readFileSync(of.root, 'utf8'), 'CERTIFICATE'),
    crls: readdirSync(of.crls)
      .filter((name) => name.endsWith('.der'))
      .map((name) => Uint8Array.from(readFileSync(join(of.crls, name)))),
  };
  const store = (): TrustStore => trust;
  const { domain } = ruled(validatePath({ ...trust, chain: leaf.chain, at: now() }));
  const material = { keyPem: leaf.keyPem, chainPem: leaf.certificatePem, store, now };
  return { files, leaf, store, now, issuer: { url: of.issuer, domain, material } };
}

/** Renews the pair in place. @returns when the new leaf ends */
export async function renewHere(of: RenewHere, nowMs: () => number): Promise<string> {
  const { files, leaf, store, now, issuer } = identityOf(of, nowMs);
  const ask = estIssuer(issuer);
  const { notAfterMs } = ruled(await renew({ files, leaf: leaf.current, ask, store, now, keys: freshRsaKeys }));
  return new Date(notAfterMs).toISOString();
}

/** Revokes as an operator of the CSP. Brokers fetch the CRL that says so within a minute. */
export async function revokeAt(of: RenewHere, wish: Parameters<typeof askRevocation>[1], nowMs: () => number): Promise<void> {
  const { issuer } = identityOf(of, nowMs);
  ruled(await askRevocation(issuer, wish));
}
