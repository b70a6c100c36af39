import type { DetailedPeerCertificate } from 'node:tls';
import type { Timestamp } from '@carnet/events';
import type { VerifyPeer } from '@carnet/images';
import { type TlsUsage, type TrustStore, validatePath } from '@carnet/pki';
import { PEER_CHAIN_MAX } from './limits.ts';

/**
 * Judges the certificate at the other end of the data path with full path validation and CRLs. Which leaf it must be, the
 * carrier compares with the pin of the agreement; which roots may be behind it, only this can say.
 */
export const peerVerdict =
  (store: () => TrustStore, now: () => Timestamp, purpose: TlsUsage): VerifyPeer =>
  (socket) => {
    const judged = validatePath({ ...store(), chain: chainOf(socket.getPeerCertificate(true)), at: now(), purpose });
    return judged.ok ? { ok: true } : { ok: false, code: judged.code };
  };

/** Leaf first, without the root, which Node links to itself. An unauthenticated peer has an empty object. */
function chainOf(leaf: DetailedPeerCertificate): readonly string[] {
  const chain: string[] = [];
  let next: DetailedPeerCertificate | undefined = leaf;
  while (next?.raw !== undefined && chain.length < PEER_CHAIN_MAX) {
    const issuer: DetailedPeerCertificate | undefined = next.issuerCertificate;
    if (issuer?.raw?.equals(next.raw) === true) break;
    chain.push(next.raw.toString('base64'));
    next = issuer;
  }
  return chain;
}
