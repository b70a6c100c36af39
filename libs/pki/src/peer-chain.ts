import type { DetailedPeerCertificate, PeerCertificate } from 'node:tls';
import { readCertificate } from './certificate.ts';
import { TLS_CHAIN_MAX } from './limits.ts';

/** What Node shows of a peer: an empty object when it is not authenticated. */
export type ShownCertificate = PeerCertificate | DetailedPeerCertificate | Record<string, never>;

/** The peer's chain as `validatePath` takes it: base64 DER, leaf first, up to the root, which Node links to itself and is left out. */
export function shownChain(leaf: ShownCertificate): readonly string[] {
  const chain: string[] = [];
  let next: ShownCertificate | undefined = leaf;
  while (next !== undefined && 'raw' in next && next.raw !== undefined && chain.length < TLS_CHAIN_MAX) {
    const issuer: DetailedPeerCertificate | undefined = 'issuerCertificate' in next ? next.issuerCertificate : undefined;
    if (issuer?.raw.equals(next.raw) === true) break;
    chain.push(next.raw.toString('base64'));
    next = issuer;
  }
  return chain;
}

/**
 * A leaf that came without its issuer, completed from the intermediates that we know. Node's servers have to: since 26.8.0, and
 * in 24.21.0, `getPeerCertificate(true)` keeps the client's intermediate to itself (nodejs/node#65579). Which one is taken
 * decides nothing: `validatePath` judges the result.
 */
export function completeChain(chain: readonly string[], known: readonly Uint8Array[]): readonly string[] {
  const [only, ...above] = chain;
  if (only === undefined || above.length > 0) return chain;
  const leaf = readCertificate(Uint8Array.from(Buffer.from(only, 'base64')));
  if (!leaf.ok) return chain;
  const issuer = known.find((der) => {
    const candidate = readCertificate(der);
    if (!candidate.ok || candidate.value.subject !== leaf.value.issuer) return false;
    return leaf.value.authorityKeyId === undefined || leaf.value.authorityKeyId === candidate.value.subjectKeyId;
  });
  return issuer === undefined ? chain : [only, Buffer.from(issuer).toString('base64')];
}
