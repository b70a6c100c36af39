import { timestamp } from '@carnet/events';
import {
  freshRsaKeys,
  isCrlDue,
  issuingServiceId,
  localIssuer,
  makeCrl,
  type Office,
  openAuthority,
  openLeaf,
  openTrustFiles,
  renew,
  renewFor,
  serveRenewals,
  tendLeaf,
  tlsOf,
} from '@carnet/pki';
import type { Streams } from '../world.ts';
import type { IssuerFile } from './issuer-file.ts';

const DAY_MS = 86_400_000;
const CRL_LOOK_MS = 10_000;

export type RunningIssuer = { readonly port: number; readonly stop: () => Promise<void> };

/** Renews the leaves of one CSP, its own among them, and keeps its CRL fresh. */
export async function runIssuer(file: IssuerFile, streams: Pick<Streams, 'nowMs' | 'random' | 'err'>): Promise<RunningIssuer> {
  const { nowMs, random, err } = streams;
  const now = () => timestamp.parse(new Date(nowMs()).toISOString());
  const office: Office = { dir: file.directory, authority: openAuthority(file.directory, file.passphraseFile), nowMs, random };
  const crls = keepCrl(office, file.crlDays * DAY_MS, err);
  const { rootFile, crlDirectory, marksFile } = file.trust;
  const store = openTrustFiles({ rootFile, crlDirectories: [crlDirectory, file.directory], marksFile }, nowMs);
  const leaf = openLeaf(file.identity, nowMs);
  const tls = tlsOf(leaf, store, now);
  const service = await serveRenewals({
    office,
    crlMs: file.crlDays * DAY_MS,
    domain: file.domain,
    tls,
    listen: file.listen,
    told: ({ who, outcome }) => err(`carnet: ${who}: ${outcome}\n`),
  });
  const held = (): Uint8Array => Uint8Array.from(Buffer.from(leaf.chain[0] ?? '', 'base64'));
  const ask = localIssuer((request) => renewFor(office, request, held()));
  const tending = tendLeaf({
    leaf,
    nowMs,
    renew: () => renew({ files: file.identity, leaf: leaf.current, ask, store, now, keys: freshRsaKeys }),
    changed: () => {
      service.refresh();
      err(`carnet: ${issuingServiceId(file.domain)}: a new certificate is in use\n`);
    },
    failed: ({ code, text }) => err(`carnet: ${code}: ${text}\n`),
  });
  return {
    port: service.port,
    stop: async () => {
      crls.stop();
      await tending.stop();
      await service.close();
    },
  };
}

/** A CRL that goes stale takes the whole CSP down: a new one is made at half of its life. */
function keepCrl(office: Office, crlMs: number, err: Streams['err']): { readonly stop: () => void } {
  const look = (): void => {
    try {
      if (isCrlDue(office, crlMs)) makeCrl(office, crlMs);
    } catch (cause) {
      err(`carnet: no new CRL: ${cause instanceof Error ? cause.message : String(cause)}\n`);
    }
  };
  look();
  const timer = setInterval(look, CRL_LOOK_MS);
  timer.unref();
  return { stop: () => clearInterval(timer) };
}
