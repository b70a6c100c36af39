import { constants } from 'node:crypto';
import { type ConnectionOptions, checkServerIdentity as matchServerName, type TLSSocket, type TlsOptions } from 'node:tls';
import type { Digest, SpiffeId, Timestamp, TrustDomain } from '@carnet/events';
import { type Checked, refuse } from '@carnet/trust';
import type { PkiCode } from './codes.ts';
import { PeerRefused } from './error.ts';
import { CRL_RECHECK_MS } from './limits.ts';
import { type PeerIdentity, type TrustStore, validatePath } from './path.ts';
import { completeChain, type ShownCertificate, shownChain } from './peer-chain.ts';
import { readPem, writePem } from './pem.ts';
import type { TlsUsage } from './profiles.ts';

/** What one side of a TLS connection has. `chainPem`: leaf and intermediate. `store` is asked at each handshake: CRLs change. */
export type TlsMaterial = {
  readonly keyPem: string;
  readonly chainPem: string;
  readonly store: () => TlsTrust;
  readonly now: () => Timestamp;
};

/** `intermediates`: issuers of the peers that a server expects, e.g. from the chain that an agreement pinned (`peer-chain.ts`). */
export type TlsTrust = TrustStore & { readonly intermediates?: readonly Uint8Array[] };

/** Who must be at the other end. The domain always; the identity and the very certificate where they were agreed. */
export type ExpectedPeer = { readonly trustDomain: TrustDomain; readonly spiffeId?: SpiffeId; readonly leafDigest?: Digest };

/**
 * Options for `tls.connect` and `https.request`: TLS 1.3, mutual, the peer judged by `validatePath` before a byte is sent.
 * Node skips that judgement for a resumed session: give no `session`, and no agent that caches them (`maxCachedSessions: 0`).
 *
 * @param serverName DNS name that the certificate must carry, sent as SNI; absent: the SPIFFE identity alone decides
 */
export function clientTlsOptions(material: TlsMaterial, expected: ExpectedPeer, serverName?: string): ConnectionOptions {
  return {
    ...commonOptions(material),
    ...(serverName === undefined ? {} : { servername: serverName }),
    checkServerIdentity: (_, certificate) => {
      const judged = judgeCertificate(certificate, material, expected, 'serverAuth');
      if (!judged.ok) return new PeerRefused(judged);
      return serverName === undefined ? undefined : matchServerName(serverName, certificate);
    },
  };
}

/**
 * Options for `tls.createServer` and `https.createServer`: TLS 1.3, a client certificate under our roots demanded. OpenSSL
 * judges path and name constraints only: the server must also be given to `guardServer`, which judges the rest.
 */
export const serverTlsOptions = (material: TlsMaterial): TlsOptions => ({
  ...commonOptions(material),
  requestCert: true,
  // No resumption: each connection is judged with the CRLs of that moment.
  secureOptions: constants.SSL_OP_NO_TICKET,
});

/**
 * Options for a server whose callers show a bearer token instead of a certificate. Nobody is authenticated by this: the
 * caller's credentials must be checked in each request.
 */
export const tokenServerTlsOptions = ({ keyPem, chainPem }: TlsMaterial): TlsOptions => ({
  key: keyPem,
  cert: chainPem,
  minVersion: 'TLSv1.3',
  maxVersion: 'TLSv1.3',
});

const commonOptions = ({ keyPem, chainPem, store }: TlsMaterial) =>
  ({
    key: keyPem,
    cert: chainPem,
    // Only the federation's roots: never those of the operating system.
    ca: store().roots.map((der) => writePem('CERTIFICATE', der)),
    minVersion: 'TLSv1.3',
    maxVersion: 'TLSv1.3',
    rejectUnauthorized: true,
  }) as const;

/** A `tls.Server`, or an HTTPS server under whatever type a framework gives it. */
export type SecureServer = { prependListener(event: 'secureConnection', listener: (socket: TLSSocket) => void): unknown };

// By socket, so that a request handler learns who was judged, not who the handshake claims.
const identities = new WeakMap<object, PeerIdentity>();

/**
 * Destroys each connection whose client is not the expected one, before anything reads from it, and later when it is revoked or ends, or the lists have
 * gone stale. In TLS 1.3 a client believes itself connected before the server has judged it: it learns of the refusal by the end of the connection.
 *
 * @param expected who may connect: one domain, since pools of several domains never decide identity together
 */
export function guardServer(
  server: SecureServer,
  material: TlsMaterial,
  expected: ExpectedPeer,
  onRefused: (refusal: PeerRefused, address: string) => void,
): void {
  // First in the list: an HTTP server's own listener must find the socket destroyed.
  server.prependListener('secureConnection', (socket: TLSSocket) => {
    const certificate = socket.getPeerCertificate(true);
    const judge = (): boolean => {
      const judged = judgeCertificate(certificate, material, expected, 'clientAuth');
      if (judged.ok) {
        identities.set(socket, judged.value);
        return true;
      }
      onRefused(new PeerRefused(judged), socket.remoteAddress ?? 'unknown');
      socket.destroy();
      return false;
    };
    if (judge()) judgeAgain(socket, material, { judge, endsMs: Date.parse(certificate.valid_to) });
  });
}

/** Whom a socket let in, and when that certificate ends. */
interface LetIn {
  readonly judge: () => boolean;
  readonly endsMs: number;
}

/** A judgement stands for this long, in milliseconds, though nothing seems to have changed: one takes less than a millisecond. */
const JUDGED_FOR_MS = 60_000;

/**
 * A connection may last for days: who was let in is judged again whenever the revocation lists are others, once the certificate has ended, and every
 * minute. Threat: whoever keeps new lists from us would keep a revoked peer connected, since a list goes stale without being another; and an issuer may end before a leaf.
 */
function judgeAgain(socket: TLSSocket, { store, now }: TlsMaterial, { judge, endsMs }: LetIn): void {
  let judgedBy = store().crls;
  let judgedMs = Date.parse(now());
  const timer = setInterval(() => {
    const { crls } = store();
    const nowMs = Date.parse(now());
    // Written so that a time that is none, or a clock that was set back, is judged.
    if (crls === judgedBy && nowMs < endsMs && Math.abs(nowMs - judgedMs) < JUDGED_FOR_MS) return;
    [judgedBy, judgedMs] = [crls, nowMs];
    judge();
  }, CRL_RECHECK_MS);
  timer.unref();
  socket.once('close', () => clearInterval(timer));
}

/** Who is at the other end of a socket that `guardServer` let in. */
export const peerIdentity = (socket: object): PeerIdentity | undefined => identities.get(socket);

function judgeCertificate(
  certificate: ShownCertificate,
  { store, now, chainPem }: TlsMaterial,
  expected: ExpectedPeer,
  purpose: TlsUsage,
): Checked<PeerIdentity, PkiCode> {
  const { intermediates = [], ...trust } = store();
  // Our own intermediate is known without being told: clients of our own domain come under it.
  const known = [...intermediates, ...readPem(chainPem, 'CERTIFICATE').slice(1)];
  const chain = completeChain(shownChain(certificate), known);
  if (chain.length === 0) return refuse('PEER_UNAUTHENTICATED', 'expected a peer certificate');
  return validatePath({ ...trust, ...expected, chain, at: now(), purpose });
}
